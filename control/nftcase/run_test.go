package nftcase_test

import (
	"bytes"
	"context"
	"os"
	"testing"

	"github.com/knitnet/knit/control/nftcase"
	"github.com/knitnet/knit/netfilter"
)

func read(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func run(t testing.TB, rules, cases string) *nftcase.Report {
	t.Helper()
	table, err := nftcase.Parse("cases", cases)
	if err != nil {
		t.Fatal(err)
	}
	rep, err := nftcase.Run(context.Background(), &netfilter.NFTRequest{Name: "rules", Text: rules}, table, nftcase.Options{Open: os.ReadFile})
	if err != nil {
		t.Fatal(err)
	}
	return rep
}

func TestGateway(t *testing.T) {
	rep := run(t, read(t, "testdata/gateway.nft"), read(t, "testdata/gateway.cases"))
	var b bytes.Buffer
	if err := rep.WriteText(&b, false); err != nil {
		t.Fatal(err)
	}
	if !rep.OK() {
		t.Errorf("%s", b.String())
	}
}
