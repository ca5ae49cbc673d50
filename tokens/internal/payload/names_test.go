package payload_test

import (
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
