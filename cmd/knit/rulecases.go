package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/knitnet/knit/control"
	"github.com/knitnet/knit/control/nftcase"
	"github.com/knitnet/knit/netfilter"
)

// Exit statuses of `nft test`.
const (
	casesFailed = 1
	casesWrong  = 2 // the files cannot be read
)

// runCases is `nft test`: cases run on kernels in this process.
func runCases(ctx context.Context, c *control.Console, args []string) error {
	ctx, stop := interruptible(ctx)
	defer stop()
	q, err := control.ParseNFTTest(c, args)
	if err != nil {
		return err
	}
	table, err := readCases(c, q.Cases)
	if err != nil {
		return control.Errorf(casesWrong, "%v", err)
	}
	rep, err := nftcase.Run(ctx, rulesOf(&q.Rules), table, nftcase.Options{Open: c.ReadFile})
	if err != nil {
		return wrongCases(err)
	}
	var out bytes.Buffer
	if q.JSON {
		err = rep.WriteJSON(&out)
	} else {
		err = rep.WriteText(&out, q.Verbose)
	}
	if err != nil {
		return err
	}
	if err := c.Print(out.String()); err != nil {
		return err
	}
	if !rep.OK() {
		return status(casesFailed)
	}
	return nil
}

func wrongCases(err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	return control.Errorf(casesWrong, "%v", err)
}

// readCases reads tables and puts them together; they share one network.
func readCases(c *control.Console, files []string) (*nftcase.Table, error) {
	var all *nftcase.Table
	for _, name := range files {
		b, err := c.ReadFile(name)
		if err != nil {
			return nil, err
		}
		t, err := nftcase.Parse(name, string(b))
		if err != nil {
			return nil, err
		}
		if all == nil {
			all = t
			continue
		}
		if err := all.Join(t); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	if all == nil {
		return nftcase.Parse("", "")
	}
	return all, nil
}

// rulesOf is the request without what only a daemon's answer needs.
func rulesOf(q *control.NFTRequest) *netfilter.NFTRequest {
	return &netfilter.NFTRequest{
		Text: q.Text, Name: q.Name, Define: q.Define,
		Include: q.Included,
	}
}
