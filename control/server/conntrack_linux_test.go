package server_test

import (
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// conntrackCalls are calls of conntrack in an order that makes sense.
const conntrackCalls = `-C
-L
-I -p udp -s 1.2.3.4 -d 4.3.2.1 --sport 5 --dport 6 -t 3000 -u ASSURED,SEEN_REPLY --mark 3
-I -p udp -s 1.2.3.4 -d 4.3.2.1 --sport 5 --dport 6 -t 3000
-I -p tcp -s 1.2.3.4 -d 4.3.2.1 --sport 5 --dport 6 -t 3000 --state ESTABLISHED
-I -p tcp -s 1.2.3.5 -d 4.3.2.1 --sport 5 --dport 6 -t 3000 --state SYN_SENT -u FIXED_TIMEOUT
-I -p icmp -s 1.2.3.4 -d 4.3.2.1 --icmp-type 8 --icmp-code 0 --icmp-id 9 -t 3000
-I -p 200 -s 1.2.3.4 -d 4.3.2.1 -t 3000
-I -p udp -s fd00::1 -d fd00::2 --sport 1 --dport 2 -t 3000
-I -p icmpv6 -s fd00::1 -d fd00::2 --icmpv6-type 128 --icmpv6-code 0 --icmpv6-id 7 -t 3000
-I -p udp -s 10.1.1.1 -d 2.2.2.2 --sport 1 --dport 2 -t 3000 -n 5.5.5.5
-I -p udp -s 10.1.1.2 -d 2.2.2.2 --sport 1 --dport 2 -t 3000 -g 6.6.6.6
-I -p udp -s 10.1.1.3 -d 2.2.2.2 --sport 1 --dport 2 -t 3000 -w 7
-C
-L
-L -o extended
-L -o save
-L -o ktimestamp
-L -o save,id
-L -f ipv6
-L -p udp
-L -p tcp --state ESTABLISHED
-L -p tcp --dport 6 --sport 5
-L -p udp --orig-port-src 1 --reply-port-src 2
-L -u SEEN_REPLY
-L -u ASSURED
-L -w 7
-L -m 3
-L -m 1/1
-L -s 1.2.3.0/24
-L -s 1.2.3.0 --mask-src 255.255.255.0
-L -r 4.3.2.1
-L -q 5.5.5.5
-L -n
-L -g
-L -j
-L -n 5.5.5.5
-L -g 6.6.6.6
-L -j 6.6.6.6
-G -p udp -s 1.2.3.4 -d 4.3.2.1 --sport 5 --dport 6
-G -p udp -s 9.9.9.9 -d 4.3.2.1 --sport 5 --dport 6
-U -p tcp -s 1.2.3.4 -m 9
-U -p udp -s 10.1.1.1 -u ASSURED
-U -p tcp -s 1.2.3.4 -t 2000
-U -s 9.9.9.9 -m 1
-D -n 5.5.5.5
-D -p tcp --dport 6 -s 1.2.3.4
-D -p icmp
-D -s 9.9.9.9
-D -f ipv6
-L
-L expect
-C expect
-F expect
-F
-L
-I -s 1.1.1.1
-G
-I -p udp -s 1.1.1.1 -t 5
-D --sport 5
-L --sport 5
-L -f foo
-L -p foo
-L -s foo
-L -o foo
-E -e FOO
-L -u FOO
-L foo
-L --timeout 5
-L -L
-L -F
-L expect -s 1.2.3.4
-L -n foo
-I -p tcp -s 1.2.3.4 -d 4.3.2.1 --sport 5 --dport 6 -t 3000 --state LISTEN
-I -p icmp -s 1.2.3.4 -d 4.3.2.1 --icmp-type 8 --icmp-code 0 --icmp-id 9 -t 3000
-I -p udp -s 1.2.3.4 -d 4.3.2.1 --sport 5 --dport 6 -t 3000 -m 5/0xff
-L
-F -p tcp
-F -s 1.2.3.4
-C -p tcp
-S -p tcp
-C -f ipv4
-F expect -f ipv4
-L expect -p tcp
-L expect -t 5
-E expect -f ipv4
-E -u ASSURED
-E -z
-E -i 5
-L -i 5
-L -e NEW
-D -j
-U -j
-U -w 7
-U -e NEW
-D -z
-G -p udp -s 1.2.3.4 -d 4.3.2.1 --sport 5 --dport 6 -f ipv4
-G -p udp -s 1.2.3.4 -d 4.3.2.1 --sport 5 --dport 6 -m 5
-G -p udp -s 1.2.3.4 -d 4.3.2.1 --sport 5 --dport 6 -t 5
-G -p udp -s 1.2.3.4 -d 4.3.2.1 --sport 5 --dport 6 -n
-G -p udp -s 1.2.3.4 -d 4.3.2.1 --sport 5 --dport 6 -z
-G -p udp -s 1.2.3.4 -d 4.3.2.1 --sport 5 --dport 6 -u ASSURED
-G -p udp -s 1.2.3.4 -d 4.3.2.1
-G -p udp -s 1.2.3.4 -d 4.3.2.1 --sport 5
-G -p udp -s 1.2.3.4
-G -p icmp -s 1.2.3.4 -d 4.3.2.1
-G -p icmp -s 1.2.3.4 -d 4.3.2.1 --icmp-type 8
-I -p udp -s 1.2.3.4 -d 4.3.2.1 --sport 5 --dport 9 -t 5 -i 5
-I -p udp -s 1.2.3.4 -d 4.3.2.1 --sport 5 --dport 9 -t 5 -j 1.1.1.1
-I -p udp -s 1.2.3.4 -d 4.3.2.1 --sport 5 --dport 9 -t 5 -e NEW
-I -p udp -s 1.2.3.4 -d 4.3.2.1 --sport 5 --dport 9 -t 5 -o id
-I -p udp -s 1.2.3.4 -d 4.3.2.1/8 --sport 5 --dport 9 -t 5
-I -p udp -s 1.2.3.4/24 -d 4.3.2.1 --sport 5 --dport 9 -t 5
-I -p udp -s 1.2.3.4 -d 4.3.2.1 -t 3000
-I -p tcp -s 1.2.3.4 -d 4.3.2.1 --sport 5 --dport 9 -t 5
-I -p tcp -s 1.2.3.4 -d 4.3.2.1 --sport 5 --dport 9 -t 5 --state FOO
-I -p tcp -s 1.2.3.4 -d 4.3.2.1 --state CLOSE --sport 1 --dport 2
-I -p icmp -s 1.2.3.4 -d 4.3.2.1 -t 3000
-I -p udp -s 1.2.3.4 -d fd00::1 --sport 5 --dport 9 -t 3000
-I -p udp -s 1.2.3.4 -d 4.3.2.1 -r fd00::1 --sport 5 --dport 9 -t 3000
-I -p udp -s 1.2.3.4 -d 4.3.2.1 -n fd00::1 --sport 5 --dport 9 -t 3000
-L -s 1.2.3.4 -d ::1
-L -s 1.2.3.4 -f ipv6
-L -p tcp --state established
-L -p udp --state ESTABLISHED
-L --state ESTABLISHED
-L -p icmp --sport 5
-L -p icmp --icmp-id 9
-L --icmp-type 8
-L -p icmpv6 --icmp-type 8
-L -p udp --icmp-type 8
-I -p gre -s 1.2.3.4 -d 4.3.2.1 -t 3000 --srckey 5 --dstkey 0x1
-I -p gre -s 1.2.3.4 -d 4.3.2.1 -t 3000 --srckey 5
-L -p gre --orig-key-src 0x5 --orig-key-dst 1
-L -p tcp --srckey 4
-L -p gre -o save
-L -o xml
-L -o xml,id -p icmp
-L -p udplite -o xml
-L -o save,xml
-I -p sctp -s 1.2.3.4 -d 4.3.2.3 --sport 5 --dport 6 -t 3000
-I -p sctp -s 1.2.3.4 -d 4.3.2.2 --sport 5 --dport 6 -t 3000 --state COOKIE_WAIT
-I -p sctp -s 1.2.3.4 -d 4.3.2.2 --sport 5 --dport 6 -t 3000 --state COOKIE_WAIT --orig-vtag 7
-I -p sctp -s 1.2.3.4 -d 4.3.2.2 --sport 5 --dport 6 -t 3000 --state COOKIE_WAIT --orig-vtag 7 --reply-vtag 8
-L -p sctp
-L -p sctp -o save
-L -p sctp --state COOKIE_WAIT
-L -p sctp --orig-vtag 7
-A -p gre -s 1.2.3.4 -d 4.3.2.1 -t 3000 --srckey 5 --dstkey 1
-A -p gre -s 1.2.3.4 -d 4.3.2.9 -t 3000 --srckey 5 --dstkey 1
-A -p tcp -s 1.2.3.4 -d 4.3.2.9 -t 3000 --sport 1 --dport 2
-A -p gre -s 1.2.3.4 -d 4.3.2.9 -t 3000 --srckey 5 --dstkey 1 -o id
-A expect
-A
-L
-L -p TCP
-L -p 1
-L -p ospf
-L -u CONFIRMED
-L -s
-L --src
-L --frob
-L -y
-V
-L`

// TestConntrackAsTheTool: what conntrack prints, complains about and exits with is
// what the real tool does with Linux's table, in a network namespace of its own.
func TestConntrackAsTheTool(t *testing.T) {
	if _, err := exec.LookPath("conntrack"); err != nil {
		t.Skipf("no conntrack on this machine: %v", err)
	}
	calls := strings.Split(conntrackCalls, "\n")
	var script strings.Builder
	for _, c := range calls {
		fmt.Fprintf(&script, "conntrack %s 2>&1; echo \"status $?\"; echo ==\n", c)
	}
	cmd := exec.Command("unshare", "-n", "sh")
	cmd.Stdin = strings.NewReader(script.String())
	out, err := cmd.Output()
	if err != nil {
		t.Skipf("cannot make a network namespace: %v (needs CAP_SYS_ADMIN)", err)
	}
	theirs := strings.Split(string(out), "==\n")
	s := newServer(t)
	for i, c := range calls {
		r := run(s, append([]string{"conntrack"}, strings.Fields(c)...)...)
		ours := fmt.Sprintf("%s%sstatus %d\n", r.Stdout, r.Stderr, r.Status)
		if got, want := canonical(ours), canonical(theirs[i]); got != want {
			t.Errorf("conntrack %s:\n%s\nthe real one:\n%s", c, got, want)
		}
	}
}

// moving are the parts of a line that the moment decides.
var moving = regexp.MustCompile(`^((?:ipv. +\d+ )?\w+ +\d+) \d+ | use=\d+|-t \d+|<(?:id|use|timeout)>\d+`)

// canonical brings lines into an order, without what the moment decides.
func canonical(text string) string {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	for i, l := range lines {
		lines[i] = moving.ReplaceAllString(strings.TrimRight(l, " "), "$1 ")
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}
