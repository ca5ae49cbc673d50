package serviceaccount_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/kubesa/serviceaccount/admission/webhook"
	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/keys/external"
	"github.com/kubesa/serviceaccount/sacontroller"
	"github.com/kubesa/serviceaccount/sacontroller/legacytoken"
	"github.com/kubesa/serviceaccount/sacontroller/rootca"
	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/bearer"
	"github.com/kubesa/serviceaccount/tokens/cached"
	"github.com/kubesa/serviceaccount/tokens/keeper"
	"github.com/kubesa/serviceaccount/tokens/lastused"
	"github.com/kubesa/serviceaccount/tokens/objectcache"
	"github.com/kubesa/serviceaccount/tokens/tokenrequest"
	"github.com/kubesa/serviceaccount/tokens/tokenreview"
	"github.com/kubesa/serviceaccount/tokens/tokensource"
)

// events has every Event of the module, empty.
var events = []any{
	webhook.Event{}, keys.Event{}, external.Event{}, legacytoken.Event{}, rootca.Event{}, tokens.Event{}, bearer.Event{}, cached.Event{}, keeper.Event{},
	lastused.Event{}, objectcache.Event{}, tokenrequest.Event{}, tokenreview.Event{}, tokenreview.ClientEvent{}, tokensource.Event{}, tokensource.FileEvent{},
}

// Every Event is in the list above.
func TestEventsAreListed(t *testing.T) {
	listed := map[string]bool{}
	for _, e := range events {
		listed[fmt.Sprintf("%T", e)] = true
	}
	for kind, folder := range exportedTypes(t, "Event") {
		if !listed[kind] {
			t.Errorf("%s: %s is not in the list of this test", folder, kind)
		}
	}
}

// Both handlers of log/slog write an Event as people expect: durations have a unit, errors
// and identities are their text, empty fields are left out, and neither panics nor
// credentials are written.
func TestEventsInLogs(t *testing.T) {
	for _, empty := range events {
		t.Run(fmt.Sprintf("%T", empty), func(t *testing.T) {
			v := reflect.New(reflect.TypeOf(empty)).Elem()
			fill(t, v)
			text, json := writtenBy(v.Interface())
			for _, unwanted := range []string{"hunter2", "1500000", "0x", "!PANIC", "!ERROR", "!BADKEY", "panicked", "map["} {
				if strings.Contains(text, unwanted) || strings.Contains(json, unwanted) {
					t.Errorf("a handler writes %q:\n%s%s", unwanted, text, json)
				}
			}
			for i := range v.NumField() {
				if v.Type().Field(i).Type == reflect.TypeFor[time.Duration]() && (strings.Count(text, "=1.5ms") == 0 || strings.Count(json, `:"1.5ms"`) == 0) {
					t.Errorf("%s has no unit:\n%s%s", v.Type().Field(i).Name, text, json)
				}
			}
			if v.FieldByName("Err").IsValid() && (!strings.Contains(text, `.err=boom`) || !strings.Contains(json, `"err":"boom"`)) {
				t.Errorf("the error isn't there:\n%s%s", text, json)
			}
			if v.FieldByName("Panic").IsValid() && !strings.Contains(json, `"panic":"string"`) {
				t.Errorf("the type of the panic isn't there:\n%s", json)
			}
			if v.FieldByName("Identity").IsValid() && !strings.Contains(text, ".identity.user=system:serviceaccount:ci:builder") {
				t.Errorf("the identity isn't there:\n%s", text)
			}
			if text, _ := writtenBy(empty); strings.Contains(text, "err=") || strings.Contains(text, "took=") || strings.Contains(text, "identity") {
				t.Errorf("an empty one is written as %s", text)
			}
		})
	}
}

// Other values that people log.
func TestValuesInLogs(t *testing.T) {
	identity := &tokens.Identity{Namespace: "ci", Name: "builder", UID: "u", CredentialID: "JTI=1", Audiences: []string{"vault"}, Pod: tokens.ObjectRef{Name: "job", UID: "p"}}
	for _, tt := range []struct {
		value      any
		text, json string
	}{
		{identity, "v.user=system:serviceaccount:ci:builder v.uid=u v.credentialID=\"JTI=1\" v.audiences=[vault] v.pod=job",
			`"v":{"user":"system:serviceaccount:ci:builder","uid":"u","credentialID":"JTI=1","audiences":["vault"],"pod":"job"}`},
		{(*tokens.Identity)(nil), "v=<nil>", `"v":null`},
		{tokens.Token{Value: "hunter2", ID: "1", Expiry: time.Unix(0, 0)}, `v="tokens.Token(JTI=1, expires 1970-01-01T00:00:00Z)"`, `"v":"tokens.Token(JTI=1, expires 1970-01-01T00:00:00Z)"`},
		{&tokens.Token{Value: "hunter2", ID: "1", Expiry: time.Unix(0, 0)}, `v="tokens.Token(JTI=1, expires 1970-01-01T00:00:00Z)"`, `"v":"tokens.Token(JTI=1, expires 1970-01-01T00:00:00Z)"`},
		{sacontroller.Key{Kind: "Secret", Namespace: "ci", Name: "a", UID: "u"}, `v="Secret ci/a"`, `"v":"Secret ci/a"`},
		{&tokens.InvalidError{Reason: tokens.ReasonExpired}, `v="tokens: service account token has expired"`, `"v":"tokens: service account token has expired"`},
		{&tokens.UnavailableError{Subject: "Pod", Err: errors.New("boom")}, `v="tokens: looking up the Pod: boom"`, `"v":"tokens: looking up the Pod: boom"`},
	} {
		text, json := writtenBy(tt.value)
		if !strings.Contains(text, " "+tt.text+"\n") || !strings.Contains(json, ","+tt.json+"}\n") {
			t.Errorf("%T is written as\n%s%swant\n%s\n%s", tt.value, text, json, tt.text, tt.json)
		}
	}
	if got := fmt.Sprint(identity, *identity); got != "system:serviceaccount:ci:builder system:serviceaccount:ci:builder" {
		t.Errorf("fmt writes an Identity as %q", got)
	}
}

// writtenBy returns what the two handlers write of v.
func writtenBy(v any) (text, json string) {
	var a, b bytes.Buffer
	slog.New(slog.NewTextHandler(&a, nil)).Info("m", "v", v)
	slog.New(slog.NewJSONHandler(&b, nil)).Info("m", "v", v)
	return a.String(), b.String()
}

// fill sets every field.
func fill(t *testing.T, v reflect.Value) {
	t.Helper()
	for i := range v.NumField() {
		field, name := v.Field(i), v.Type().Field(i).Name
		switch value := field.Addr().Interface().(type) {
		case *time.Duration:
			*value = 1500 * time.Microsecond
		case *time.Time:
			*value = time.Unix(1e9, 0)
		case *error:
			*value = errors.New("boom")
		case *[]error:
			*value = []error{errors.New("boom")}
		case *[]string:
			*value = []string{"a"}
		case *map[string]string:
			*value = nil // as JSON has them
		case *any:
			*value = "hunter2"
		case *[]byte:
			*value = []byte("goroutine 1 [running]")
		case **tokens.Identity:
			*value = &tokens.Identity{Namespace: "ci", Name: "builder"}
		case **tokens.LegacyUse:
			*value = &tokens.LegacyUse{Namespace: "ci", Secret: "a"}
		case **legacytoken.Report:
			*value = &legacytoken.Report{Decisions: []legacytoken.Decision{{Action: legacytoken.Keep}}}
		case *[]tokenreview.Attempt:
			*value = []tokenreview.Attempt{{HTTPStatus: 201, Took: time.Second}}
		default:
			switch field.Kind() {
			case reflect.String:
				field.SetString("text")
			case reflect.Bool:
				field.SetBool(true)
			case reflect.Int:
				field.SetInt(3)
			default:
				t.Fatalf("this test can't fill %s, a %s", name, field.Type())
			}
		}
	}
}
