package logvalue_test

import (
	"bytes"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kubesa/serviceaccount/internal/logvalue"
)

// An event has a field of each kind that Events have.
type event struct {
	Name       string
	HTTPStatus int
	TTL        time.Duration
	At         time.Time
	Changed    bool
	Err        error
	Skipped    []error
	Panic      any
	Stack      []byte
	Kind       kind
	Part       *part
	Inner      part
	Logged     logged
	Shown      *shown
	Big        uint64
	ByID, APod string
	TLSOk      string
	hidden     string
}

type kind string

type part struct{ URL, X string }

type logged struct{ secret string }

func (logged) LogValue() slog.Value { return slog.StringValue("as it says") }

type shown struct{ secret string }

func (*shown) String() string { return "as it shows" }

// What an event has is written as people expect, and what is empty is left out, but for
// bools.
func TestOf(t *testing.T) {
	divide := func(by int) (value any) {
		defer func() { value = recover() }()
		return 1 / by
	}
	for _, tt := range []struct {
		event event
		want  string
	}{
		{event{}, "e.changed=false"},
		{event{Name: "a", Changed: true}, "e.name=a e.changed=true"},
		{event{HTTPStatus: 503, TTL: 1500 * time.Millisecond, At: time.Unix(0, 0).UTC()}, "e.httpStatus=503 e.ttl=1.5s e.at=1970-01-01T00:00:00.000Z e.changed=false"},
		{event{Err: errors.New("boom"), Skipped: []error{errors.New("one"), errors.New("two")}}, `e.changed=false e.err=boom e.skipped="[one two]"`},
		{event{Panic: "hunter2", Stack: []byte("goroutine")}, "e.changed=false e.panic=string e.stack=goroutine"},
		{event{Panic: divide(0)}, `e.changed=false e.panic="runtime error: integer divide by zero"`},
		{event{Kind: "Secret", Part: &part{URL: "u"}, Inner: part{X: "x"}}, "e.changed=false e.kind=Secret e.part.url=u e.inner.x=x"},
		{event{Logged: logged{"hunter2"}, Shown: &shown{"hunter2"}, Big: 7, hidden: "hunter2"}, `e.changed=false e.logged="as it says" e.shown="as it shows" e.big=7`},
		{event{ByID: "a", APod: "b", TLSOk: "c"}, "e.changed=false e.byID=a e.aPod=b e.tlsOk=c"},
	} {
		var text, encoded bytes.Buffer
		slog.New(slog.NewTextHandler(&text, nil)).Info("m", "e", logvalue.Of(tt.event))
		if _, got, _ := strings.Cut(strings.TrimSpace(text.String()), "msg=m "); got != tt.want {
			t.Errorf("%+v is written as\n%s\nwant\n%s", tt.event, got, tt.want)
		}
		slog.New(slog.NewJSONHandler(&encoded, nil)).Info("m", "e", logvalue.Of(tt.event))
		for _, err := range tt.event.Skipped {
			if !strings.Contains(encoded.String(), `"`+err.Error()+`"`) {
				t.Errorf("%+v is written as %s, want the text of each error", tt.event, encoded.String())
			}
		}
	}
}

func TestFew(t *testing.T) {
	list := strings.Split("abcdefgh", "")
	if got := logvalue.Few(list); !slices.Equal(got, list) {
		t.Errorf("Few(eight) = %q, want them", got)
	}
	if got := logvalue.Few(append(list, "i", "j")); !slices.Equal(got, append(list, "and 2 more")) {
		t.Errorf("Few(ten) = %q, want eight and how many more", got)
	}
	if got := logvalue.Few(nil); got != nil {
		t.Errorf("Few(nil) = %q", got)
	}
}
