package tokensecret

import (
	"encoding/json"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// Labels of token Secrets. Their values are days (CST-10).
const (
	// LastUsedLabel holds the day on which the token was last accepted.
	LastUsedLabel = "kubernetes.io/legacy-token-last-used"
	// InvalidSinceLabel holds the day since which the token is rejected because
	// it was unused for too long.
	InvalidSinceLabel = "kubernetes.io/legacy-token-invalid-since"
)

// FormatDay returns the day of t in UTC, as the labels hold it.
func FormatDay(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// ParseDay reads what [FormatDay] writes. Its error is that of [time.Parse].
func ParseDay(s string) (time.Time, error) { return time.Parse(time.DateOnly, s) }

// IsDay reports whether [ParseDay] accepts s.
func IsDay(s string) bool {
	_, err := ParseDay(s)
	return err == nil
}

// LabelPatch returns the merge patch that sets one label of a Secret. It carries
// the UID, so that a namesake created since is left alone (CLN-12).
func LabelPatch(namespace, name string, uid types.UID, label, value string) []byte {
	var patch struct {
		Kind       string `json:"kind"`
		APIVersion string `json:"apiVersion"`
		Metadata   struct {
			Name      string            `json:"name"`
			Namespace string            `json:"namespace"`
			UID       types.UID         `json:"uid"`
			Labels    map[string]string `json:"labels"`
		} `json:"metadata"`
	}
	patch.Kind, patch.APIVersion = "Secret", "v1"
	patch.Metadata.Name, patch.Metadata.Namespace, patch.Metadata.UID = name, namespace, uid
	patch.Metadata.Labels = map[string]string{label: value}
	data, err := json.Marshal(patch)
	if err != nil {
		panic(err) // strings always marshal
	}
	return data
}
