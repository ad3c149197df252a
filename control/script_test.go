package control

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
)

// texts returns the words without their places.
func texts(commands [][]Word) (all [][]string) {
	for _, words := range commands {
		var list []string
		for _, w := range words {
			list = append(list, w.Text)
		}
		all = append(all, list)
	}
	return all
}

func TestParseScript(t *testing.T) {
	for _, c := range []struct {
		text string
		want [][]string
	}{
		{"", nil},
		{"\n \t\n# only a comment\n", nil},
		{"a b\nc", [][]string{{"a", "b"}, {"c"}}},
		{"a b\r\nc\r\n", [][]string{{"a", "b"}, {"c"}}},
		{"a # b\nc#d", [][]string{{"a"}, {"c#d"}}},
		{"a \\\n b\\\nc", [][]string{{"a", "bc"}}},
		{`a "b c" 'd e' f\ g`, [][]string{{"a", "b c", "d e", "f g"}}},
		{`a x"b"'c'd`, [][]string{{"a", "xbcd"}}},
		{`a "\"\\\$\x" '\"'`, [][]string{{"a", `"\$\x`, `\"`}}},
		{`a "" ''`, [][]string{{"a", "", ""}}},
		{"a \"b\nc\"\nd", [][]string{{"a", "b\nc"}, {"d"}}},
		{"a \"b\\\nc\"", [][]string{{"a", "bc"}}},
		{`a ';' "|" \&`, [][]string{{"a", ";", "|", "&"}}},
	} {
		got, err := ParseScript("f", c.text)
		if err != nil || !reflect.DeepEqual(texts(got), c.want) {
			t.Errorf("%q: %q, %v; want %q", c.text, texts(got), err, c.want)
		}
	}
}

// TestScriptErrors holds the form FILE:LINE:COLUMN: message, line, caret.
func TestScriptErrors(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"ok\n\tbad 'x\n", "f:2:6: this quote is never closed\n\tbad 'x\n\t    ^"},
		{"ä \"", "f:1:3: this quote is never closed\nä \"\n  ^"},
		{"a \\", "f:1:3: nothing follows the backslash\na \\\n  ^"},
		{"a b;c", "f:1:4: \";\" is of no use here: one command a line; write ';' to mean the character\na b;c\n   ^"},
		{"a \x00", "f:1:3: this is no text: it has a zero byte\na \x00\n  ^"},
	} {
		_, err := ParseScript("f", c.text)
		if err == nil || err.Error() != c.want {
			t.Errorf("%q: %v\nwant %s", c.text, err, c.want)
		}
	}
}

// TestQuoteIsParsed: what save quotes, a boot script reads.
func TestQuoteIsParsed(t *testing.T) {
	for _, words := range [][]string{
		{"modprobe", "hello", "greeting=it's me"}, {"a", ""}, {"#", "\\", "\"", "'", "\n", "\t", "ä", "$x", ";"},
	} {
		got, err := ParseScript("f", Quote(words...))
		if err != nil || !reflect.DeepEqual(texts(got), [][]string{words}) {
			t.Errorf("%q becomes %s, which is %q, %v", words, Quote(words...), texts(got), err)
		}
	}
}

func FuzzParseScript(f *testing.F) {
	for _, s := range []string{"a b # c\nd 'e f' \"g\\\"\" \\\n h", "modprobe hello greeting='x y'\r\n", "'", "\\", "a;b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := ParseScript("f", text)
		if err != nil {
			var e *ScriptError
			if !errors.As(err, &e) || e.Line < 1 || e.Column < 1 || !strings.HasPrefix(err.Error(), "f:") {
				t.Fatalf("%q: error without a place: %v", text, err)
			}
			return
		}
		var lines []string
		for _, words := range texts(got) {
			if len(words) == 0 {
				t.Fatalf("%q: an empty command", text)
			}
			lines = append(lines, Quote(words...))
		}
		again, err := ParseScript("f", strings.Join(lines, "\n"))
		if joined := strings.Join(lines, "\n"); !strings.ContainsAny(joined, "\r\x00") && (err != nil || !reflect.DeepEqual(texts(again), texts(got))) {
			t.Fatalf("%q is %q; quoted and parsed again %q, %v", text, texts(got), texts(again), err)
		}
	})
}

// FuzzVerbs: no verb's parser panics, whatever the words, and what it makes of
// them can be sent.
func FuzzVerbs(f *testing.F) {
	for i, args := range []string{
		"-r -v --wait 5 tcp", "-j", "-F parm hello", "-l err,warn -T -w", "-w a=1 b", "-p f", "'Ip*' -z", "--he", "--", "-", "-\x00",
	} {
		f.Add(i, args)
	}
	f.Fuzz(func(t *testing.T, n int, line string) {
		verbs := Verbs()
		v := verbs[uint(n)%uint(len(verbs))]
		commands, err := ParseScript("f", line)
		if err != nil || len(commands) != 1 {
			return
		}
		c := &Console{}
		p, err := v.Prepare(c, texts(commands)[0])
		if err != nil {
			if s := asError(err).Status; !errors.Is(err, ErrHelp) && s == 0 {
				t.Fatalf("%s %q: fails with status 0: %v", v.About().Name, line, err)
			}
			return
		}
		if _, err := json.Marshal(p.Request); err != nil {
			t.Fatalf("%s %q: %v", v.About().Name, line, err)
		}
	})
}
