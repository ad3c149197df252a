package server_test

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
)

// A step is a command and what it prints; "" with a status other than 0 is not looked at.
type step struct {
	line   string
	status int
	want   string
}

// random matches hardware addresses, which differ from run to run.
var random = regexp.MustCompile(`([0-9a-f]{2}:){5}[0-9a-f]{2}`)

// vrfSteps are the commands of Linux's Documentation/networking/vrf.rst, with its formats.
var vrfSteps = []step{
	{"ip link add red type vrf table 10", 0, ""},
	{"ip link add blue type vrf table 20", 0, ""},
	{"ip link set red up", 0, ""},
	{"ip link set blue up", 0, ""},
	{"ip vrf", 0, "Name              Table\n-----------------------\nred                 10\nblue                20\n"},
	{"ip vrf show red", 0, "red                 10\n"},
	{"ip -j vrf", 0, `[{"name":"red","table":10},{"name":"blue","table":20}]` + "\n"},
	{"ip rule", 0, "0:\tfrom all lookup local\n1000:\tfrom all lookup [l3mdev-table]\n32766:\tfrom all lookup main\n32767:\tfrom all lookup default\n"},
	{"ip -6 rule", 0, "0:\tfrom all lookup local\n1000:\tfrom all lookup [l3mdev-table]\n32766:\tfrom all lookup main\n"},
	{"ip -br link show type vrf", 0, "red              UNKNOWN        MAC <NOARP,MASTER,UP,LOWER_UP> \nblue             UNKNOWN        MAC <NOARP,MASTER,UP,LOWER_UP> \n"},
	{"ip addr add 10.0.0.1/24 dev v0", 0, ""},
	{"ip link set v0 up", 0, ""},
	{"ip link set v1 up", 0, ""},
	{"ip route", 0, "10.0.0.0/24 dev v0 proto kernel scope link src 10.0.0.1 \n"},
	{"ip link set v0 master red", 0, ""},
	{"ip route", 0, ""},
	{"ip route show vrf red", 0, "10.0.0.0/24 dev v0 proto kernel scope link src 10.0.0.1 \n"},
	{"ip route show table 10", 0, "10.0.0.0/24 dev v0 proto kernel scope link src 10.0.0.1 \n" +
		"local 10.0.0.1 dev v0 proto kernel scope host src 10.0.0.1 \nbroadcast 10.0.0.255 dev v0 proto kernel scope link src 10.0.0.1 \n"},
	{"ip link set v1 master blue", 0, ""},
	{"ip addr add 10.0.0.1/24 dev v1", 0, ""},
	{"ip route show vrf blue", 0, "10.0.0.0/24 dev v1 proto kernel scope link src 10.0.0.1 \n"},
	{"ip route add vrf red default via 10.0.0.2", 0, ""},
	{"ip route add vrf blue unreachable default metric 4278198272", 0, ""},
	{"ip route show vrf red default", 0, "default via 10.0.0.2 dev v0 \n"},
	{"ip route add vrf blue default via 10.0.0.1", 2, ""}, // its own address
	{"ip route add vrf v0 default via 10.0.0.1", 255, ""},
	{"ip route get 10.0.0.2 vrf red", 0, "10.0.0.2 dev v0 table 10 src 10.0.0.1 uid 0 \n    cache \n"},
	{"ip route get 10.0.0.2 oif blue", 0, "10.0.0.2 dev v1 table 20 src 10.0.0.1 uid 0 \n    cache \n"},
	{"ip route get 10.0.0.1 vrf red", 0, "local 10.0.0.1 dev red table 10 src 10.0.0.1 uid 0 \n    cache <local> \n"},
	{"ip route get 10.0.0.2", 2, ""},
	{"ip route get 192.0.2.1 vrf blue", 2, ""},
	{"ip route explain 10.0.0.2 vrf red", 0, "0:\tfrom all lookup local\n\tthe table has no route\n" +
		"1000:\tfrom all lookup [l3mdev-table]\n\tthe route is taken\n" +
		"\t10.0.0.0/24 dev v0 table 10 proto kernel scope link src 10.0.0.1: taken\n" +
		"\tdefault via 10.0.0.2 dev v0 table 10: its prefix is shorter\n" +
		"10.0.0.2 dev v0 table 10 src 10.0.0.1 uid 0 \n    cache \n"},
	{"ip neigh add 10.0.0.9 lladdr 02:00:00:00:00:09 dev v0", 0, ""},
	{"ip neigh show vrf red", 0, "10.0.0.9 dev v0 lladdr MAC PERMANENT \n"},
	{"ip neigh show vrf blue", 0, ""},
	{"ip neigh show nomaster", 0, ""},
	{"ip -br link show master red", 0, "v0@v1            UP             MAC <BROADCAST,MULTICAST,UP,LOWER_UP> \n"},
	{"ip -br -4 addr show vrf blue", 0, "v1@v0            UP             10.0.0.1/24 \n"},
	{"ip link set red master blue", 2, ""},
	{"ip link set v0 nomaster", 0, ""},
	{"ip route", 0, "10.0.0.0/24 dev v0 proto kernel scope link src 10.0.0.1 \n"},
	{"ip route show vrf red", 0, ""},
	{"ip link del blue", 0, ""},
	{"ip vrf", 0, "Name              Table\n-----------------------\nred                 10\n"},
	{"ip link add green type vrf", 2, ""},
	{"ip vrf exec red true", 2, ""},
}

func TestVRF(t *testing.T) {
	s := newServer(t)
	for _, x := range vrfSteps {
		r := run(s, strings.Fields(x.line)...)
		out := random.ReplaceAllString(r.Stdout, "MAC")
		if r.Status != x.status || x.status == 0 && out != x.want {
			t.Errorf("%s\nstatus %d, %q\n%s\nwant %d\n%s", x.line, r.Status, r.Stderr, out, x.status, x.want)
		}
	}
}

// TestVRFDetails: what `ip -d link` says of a VRF and of its devices.
func TestVRFDetails(t *testing.T) {
	s := newServer(t)
	for _, line := range []string{"ip link add red type vrf table 10", "ip link set v0 master red"} {
		if r := run(s, strings.Fields(line)...); r.Status != 0 {
			t.Fatalf("%s: %+v", line, r)
		}
	}
	for line, want := range map[string]string{
		"ip -d link show red": "minmtu 1280 maxmtu 65575 \n    vrf table 10 ",
		"ip -d link show v0":  "    veth \n    vrf_slave table 10 ",
		"ip link show v0":     " qdisc noqueue master red state DOWN mode DEFAULT ",
	} {
		if r := run(s, strings.Fields(line)...); !strings.Contains(r.Stdout, want) {
			t.Errorf("%s: want %q in\n%s", line, want, r.Stdout)
		}
	}
	var links []struct {
		Master   string
		Linkinfo struct {
			Kind  string              `json:"info_kind"`
			Data  struct{ Table int } `json:"info_data"`
			Slave string              `json:"info_slave_kind"`
			Of    struct{ Table int } `json:"info_slave_data"`
		}
	}
	r := run(s, "ip", "-d", "-j", "link", "show", "master", "red")
	if err := json.Unmarshal([]byte(r.Stdout), &links); err != nil || len(links) != 1 {
		t.Fatalf("%v in %s", err, r.Stdout)
	}
	if l := links[0]; l.Master != "red" || l.Linkinfo.Slave != "vrf" || l.Linkinfo.Of.Table != 10 {
		t.Errorf("%+v", l)
	}
}
