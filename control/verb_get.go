package control

import (
	"errors"
	"io"
	"iter"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// GetRequest asks for a URL.
type GetRequest struct {
	URL      string        `json:"url"`
	Method   string        `json:"method,omitempty"` // GET if empty
	Headers  []string      `json:"headers,omitempty"`
	Body     []byte        `json:"body,omitempty"`
	Fail     bool          `json:"fail,omitempty"`     // a status of 400 and above is an error
	Follow   bool          `json:"follow,omitempty"`   // redirects
	Insecure bool          `json:"insecure,omitempty"` // any certificate will do
	Timeout  time.Duration `json:"timeout,omitempty"`  // for everything; 0: none

	include, verbose bool
	output           string
}

// A GetReply is the head of the answer, which comes first, or a part of its body.
type GetReply struct {
	Proto  string      `json:"proto,omitempty"`
	Status string      `json:"status,omitempty"`
	Header http.Header `json:"header,omitempty"`
	Data   []byte      `json:"data,omitempty"`
}

const getUsage = `
Usage: get [options...] <url>
 -d, --data <data>          HTTP POST data; @FILE reads a file
 -f, --fail                 Fail fast with no output on HTTP errors
 -H, --header <header>      Pass custom header to server
 -I, --head                 Show document info only
 -i, --include              Include protocol response headers in the output
 -k, --insecure             Allow insecure server connections
 -L, --location             Follow redirects
 -m, --max-time <seconds>   Maximum time allowed for transfer
 -o, --output <file>        Write to file instead of stdout
 -s, --silent               Silent mode
 -S, --show-error           Accepted: errors are always shown
 -T, --upload-file <file>   Transfer local FILE to destination
 -v, --verbose              Show the head of the answer on standard error
 -X, --request <method>     Specify request method to use
`

// Get fetches a URL over the kernel's connections, with curl's options and exit
// statuses.
func Get() *Verb[GetRequest, GetReply] {
	return &Verb[GetRequest, GetReply]{
		Info:  Info{Name: "get", Group: Sockets, Summary: "fetch a URL", Usage: getUsage},
		Parse: parseGet,
		Print: printGet,
	}
}

func getOptions() []option {
	return []option{
		{'d', "data", needArg}, {'f', "fail", noArg}, {'H', "header", needArg}, {'I', "head", noArg},
		{'i', "include", noArg}, {'k', "insecure", noArg}, {'L', "location", noArg}, {'m', "max-time", needArg},
		{'o', "output", needArg}, {'s', "silent", noArg}, {'S', "show-error", noArg}, {'T', "upload-file", needArg},
		{'v', "verbose", noArg}, {'X', "request", needArg}, {'h', "help", noArg},
	}
}

// The exit statuses of curl that get uses.
const (
	getUsageStatus = 2
	getBadURL      = 3
)

func parseGet(c *Console, args []string) (q GetRequest, err error) {
	given, rest, err := getopt("get", getUsageStatus, getOptions(), args)
	if err != nil {
		return q, err
	}
	for _, o := range given {
		if err := q.set(c, o); err != nil {
			return q, err
		}
	}
	switch {
	case len(rest) == 0:
		return q, Errorf(getUsageStatus, "get: no URL specified: want one such as http://10.0.0.1/")
	case len(rest) > 1:
		return q, WordErrorf(rest[1].word, getUsageStatus, "get: %q: want one URL", rest[1].text)
	}
	q.URL = rest[0].text
	if !strings.Contains(q.URL, "://") {
		q.URL = "http://" + q.URL
	}
	u, err := url.Parse(q.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return q, WordErrorf(rest[0].word, getBadURL, "get: (3) %q: want a URL of http or https", rest[0].text)
	}
	return q, nil
}

func (q *GetRequest) set(c *Console, o setting) (err error) {
	switch o.name {
	case "help":
		return ErrHelp
	case "data":
		q.Method = http.MethodPost
		q.Body = []byte(o.value)
		if name, ok := strings.CutPrefix(o.value, "@"); ok {
			q.Body, err = c.ReadFile(name)
		}
		q.Headers = append(q.Headers, "Content-Type: application/x-www-form-urlencoded")
	case "upload-file":
		q.Method = http.MethodPut
		q.Body, err = c.ReadFile(o.value)
	case "fail":
		q.Fail = true
	case "header":
		if !strings.Contains(o.value, ":") {
			return WordErrorf(o.word, getUsageStatus, "get: header %q: want NAME: VALUE", o.value)
		}
		q.Headers = append(q.Headers, o.value)
	case "head":
		q.Method, q.include = http.MethodHead, true
	case "include":
		q.include = true
	case "insecure":
		q.Insecure = true
	case "location":
		q.Follow = true
	case "max-time":
		seconds, err := strconv.ParseFloat(o.value, 64)
		if err != nil || seconds <= 0 || seconds > 1e9 {
			return WordErrorf(o.word, getUsageStatus, "get: --max-time %q: want seconds", o.value)
		}
		q.Timeout = time.Duration(seconds * float64(time.Second))
	case "output":
		q.output = o.value
	case "verbose":
		q.verbose = true
	case "request":
		q.Method = o.value
	}
	return err
}

func printGet(c *Console, q GetRequest, replies iter.Seq[GetReply]) (err error) {
	out := c.stdout()
	if q.output != "" && q.output != "-" {
		f, err := c.Create(q.output)
		if err != nil {
			return Errorf(23, "get: (23) %v", err)
		}
		defer func() { err = errors.Join(err, f.Close()) }()
		out = f
	}
	for r := range replies {
		if r.Status != "" {
			if err := q.printHead(c, out, r); err != nil {
				return err
			}
		}
		if _, err := out.Write(r.Data); err != nil {
			return Errorf(23, "get: (23) %v", err)
		}
	}
	return nil
}

// printHead shows the head of the answer where it was asked for.
func (q *GetRequest) printHead(c *Console, out io.Writer, r GetReply) error {
	names := make([]string, 0, len(r.Header))
	for name := range r.Header {
		names = append(names, name)
	}
	slices.Sort(names)
	lines := []string{r.Proto + " " + r.Status}
	for _, name := range names {
		for _, v := range r.Header[name] {
			lines = append(lines, name+": "+v)
		}
	}
	if q.verbose {
		for _, l := range lines {
			c.Warn("< %s", l)
		}
	}
	if !q.include {
		return nil
	}
	_, err := io.WriteString(out, strings.Join(lines, "\r\n")+"\r\n\r\n")
	return err
}
