package inspect_test

import (
	"encoding/base64"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/inspect"
)

// unsigned returns a token with payload that nobody signed.
func unsigned(payload string) string {
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"alg":"ES256","kid":"k"}`)) + "." + encode([]byte(payload)) + "." + encode(make([]byte, 64))
}

func TestPeekUnverified(t *testing.T) {
	for _, tt := range []struct {
		name, token string
		want        *inspect.UnverifiedClaims
		subject     string // of the InvalidError
	}{
		{
			name: "bound",
			token: unsigned(`{"aud":["a","b"],"exp":200,"iat":100,"nbf":100,"jti":"7","iss":"https://a","sub":"system:serviceaccount:ci:builder",` +
				`"kubernetes.io":{"namespace":"ci","serviceaccount":{"name":"builder","uid":"1"},"pod":{"name":"job","uid":"2"},"node":{"name":"worker","uid":"3"},"warnafter":150}}`),
			want: &inspect.UnverifiedClaims{
				Issuer: "https://a", Subject: "system:serviceaccount:ci:builder", ID: "7", Audiences: []string{"a", "b"},
				Namespace: "ci", Name: "builder", UID: "1", Pod: tokens.ObjectRef{Name: "job", UID: "2"}, Node: tokens.ObjectRef{Name: "worker", UID: "3"},
				IssuedAt: time.Unix(100, 0), NotBefore: time.Unix(100, 0), Expiry: time.Unix(200, 0), WarnAfter: time.Unix(150, 0),
			},
		},
		{
			name: "Secret-based, with its issuer last",
			token: unsigned(`{"kubernetes.io/serviceaccount/namespace":"ci","kubernetes.io/serviceaccount/secret.name":"s","kubernetes.io/serviceaccount/service-account.name":"builder",` +
				`"kubernetes.io/serviceaccount/service-account.uid":"1","sub":"system:serviceaccount:ci:builder","iss":"kubernetes/serviceaccount"}`),
			want: &inspect.UnverifiedClaims{
				Issuer: tokens.LegacyIssuer, Subject: "system:serviceaccount:ci:builder", Legacy: true,
				Namespace: "ci", Name: "builder", UID: "1", Secret: tokens.ObjectRef{Name: "s"},
			},
		},
		{
			name:  "of a cluster",
			token: unsigned(`{"kubernetes.io":{"clusterName":"root:org","warn\u0061fter":150,"namespace":"ci","a":"","n":1,"o":{"clusterName":"inner"},"l":["x"],"z":null,"é\u0041":"\u00fc"},"clusterName":"outer","kubernetes.io/clusterName":"slash"}`),
			want:  &inspect.UnverifiedClaims{Namespace: "ci", WarnAfter: time.Unix(150, 0), Others: map[string]string{"clusterName": "root:org", "a": "", "éA": "ü"}},
		},
		{
			name:  "Secret-based, of a cluster",
			token: unsigned(`{"iss":"kubernetes/serviceaccount","kubernetes.io/serviceaccount/clusterName":"root:org","kubernetes.io/serviceaccount/namespace":"ci","kubernetes.io/serviceaccount/n":1,"clusterName":"outer"}`),
			want:  &inspect.UnverifiedClaims{Issuer: tokens.LegacyIssuer, Legacy: true, Namespace: "ci", Others: map[string]string{"clusterName": "root:org"}},
		},
		{name: "two clusters", token: unsigned(`{"kubernetes.io":{"clusterName":"a","clusterN\u0061me":"b"}}`)},
		{name: "another issuer's", token: unsigned(`{"iss":"https://b","email":"jane@b","exp":200}`), want: &inspect.UnverifiedClaims{Issuer: "https://b", Expiry: time.Unix(200, 0)}},
		{name: "empty", token: unsigned(`{}`), want: &inspect.UnverifiedClaims{}},
		{name: "exp as text", token: unsigned(`{"exp":"200"}`), subject: "exp"},
		{name: "kubernetes.io as text", token: unsigned(`{"kubernetes.io":"x"}`), subject: "kubernetes.io"},
		{name: "two of one name", token: unsigned(`{"exp":1,"exp":2}`)},
		{name: "no object", token: unsigned(`[]`)},
		{name: "no token", token: "opaque"},
		{name: "nothing"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := inspect.PeekUnverified(tt.token)
			invalid, _ := errors.AsType[*tokens.InvalidError](err)
			switch {
			case tt.want != nil:
				if diff := cmp.Diff(tt.want, got); diff != "" || err != nil {
					t.Errorf("PeekUnverified() = %v, (-want +got):\n%s", err, diff)
				}
			case tt.subject != "":
				if invalid == nil || invalid.Subject != tt.subject || got != nil {
					t.Errorf("PeekUnverified() = %v, %v, want an InvalidError on %s", got, err, tt.subject)
				}
			case !errors.Is(err, tokens.ErrNotRecognized) || err.Error() == tokens.ErrNotRecognized.Error():
				t.Errorf("PeekUnverified() = %v, %v, want it not recognized, and why", got, err)
			}
		})
	}
}
