package payload_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/kubesa/serviceaccount/tokens/internal/payload"
)

// KEY-52, KEY-53
func TestCheckIssuer(t *testing.T) {
	for issuer, want := range map[string]string{
		"": "is empty", payload.LegacyIssuer: "the issuer of Secret-based tokens", "\xff": "not valid UTF-8", "http://[": "not a valid URL",
		"https://iss": "", "iss": "", "%zz": "",
	} {
		err := payload.CheckIssuer(issuer)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("CheckIssuer(%q) = %v, want %q", issuer, err, want)
		}
	}
}

func TestIssuerOf(t *testing.T) {
	for object, want := range map[string]string{
		`{"aud":"a","iss":"https://iss","sub":"b"}`: "https://iss", `{"iss":"\u0061"}`: "a",
		`{}`: "", `{"aud":"a"}`: "", `{"iss":["a"]}`: "", `{"iss":null}`: "", `{"a":{"iss":"b"}}`: "", `{"ISS":"a"}`: "",
	} {
		if got := payload.IssuerOf(object); got != want {
			t.Errorf("IssuerOf(%s) = %q, want %q", object, got, want)
		}
	}
}

func TestCheckExtraKey(t *testing.T) {
	for key, want := range map[string]string{
		"example.org/team": "", "kubernetes.io.example.org/team": "", "mykubernetes.io/team": "", "io/team": "",
		"": "in lower case with a domain", "team": "in lower case with a domain", "/team": "in lower case with a domain", "example.org/": "in lower case with a domain",
		"example.org/Team": "in lower case", "Example.org/team": "in lower case", "example.org/team_": "in lower case", "a b/team": "in lower case",
		"kubernetes.io/x": "another domain", "authentication.kubernetes.io/pod-name": "another domain", "k8s.io/x": "another domain", "x.k8s.io/y": "another domain",
	} {
		err := payload.CheckExtraKey(key)
		if (err == nil) != (want == "") || err != nil && !(strings.Contains(err.Error(), want) && strings.Contains(err.Error(), fmt.Sprintf("is %q, want a key", key))) {
			t.Errorf("CheckExtraKey(%q) = %v, want %q", key, err, want)
		}
	}
}

func TestMeanings(t *testing.T) {
	for _, tt := range []struct {
		name                       string
		reserved, private, cluster bool
	}{
		{name: "clusterName", cluster: true},
		{name: "", cluster: true},
		{name: "ISS", reserved: true},
		{name: "kubernetes.io/serviceaccount/Secret.name", reserved: true},
		{name: "Pod", private: true},
		{name: "service-account.uid", private: true},
		{name: "service-account.name", private: true},
		{name: "Kind"},
		{name: "\xff"},
	} {
		if got := payload.IsReserved(tt.name); got != tt.reserved {
			t.Errorf("IsReserved(%q) = %t", tt.name, got)
		}
		if got := payload.IsPrivate(tt.name); got != tt.private {
			t.Errorf("IsPrivate(%q) = %t", tt.name, got)
		}
		if got := payload.IsCluster(tt.name); got != tt.cluster {
			t.Errorf("IsCluster(%q) = %t", tt.name, got)
		}
	}
}
