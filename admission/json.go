package admission

import (
	"encoding/json"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubesa/serviceaccount/admission/internal/podrules"
	"github.com/kubesa/serviceaccount/internal/strictjson"
)

// fragments are the JSON of volumes and mounts, encoded beforehand but for the
// names, which differ from pod to pod.
type fragments struct {
	mount, volume [2]string // before and after the volume's name
}

func newFragments(r *rules) fragments {
	var m corev1.VolumeMount
	r.setMount(&m, "")
	var v corev1.Volume
	r.setVolume(&v, "", "")
	return fragments{mount: split(m), volume: split(v)}
}

// split encodes a volume or a mount without a name, which always can be, and
// splits it where the name belongs.
func split(value any) [2]string {
	data, _ := json.Marshal(value)
	before, after, _ := strings.Cut(string(data), `"name":""`)
	return [2]string{before + `"name":`, after}
}

// AppendJSON appends the JSON of [Edit.Value] to dst and returns it: what a JSON
// Patch (RFC 6902) has as the value. If the field is kept, it appends nothing.
func (e *Edit) AppendJSON(dst []byte) []byte {
	switch {
	case e.Keep:
		return dst
	case e.further != nil:
		data, _ := json.Marshal(e.further.Add) // which always can be encoded
		return append(dst, data...)
	}
	switch e.Field {
	case fieldAccount, fieldOldAccount:
		return strictjson.AppendText(dst, e.name)
	case fieldPullSecrets:
		return e.appendPullSecrets(dst)
	case podrules.Volumes:
		if e.rules.TokenVolume == SecretBacked {
			dst = strictjson.AppendText(append(dst, `{"name":`...), e.name)
			dst = strictjson.AppendText(append(dst, `,"secret":{"secretName":`...), e.detail)
			return append(dst, "}}"...)
		}
		return appendNamed(dst, &e.rules.json.volume, e.name)
	}
	return appendNamed(dst, &e.rules.json.mount, e.name)
}

func appendNamed(dst []byte, parts *[2]string, name string) []byte {
	dst = append(dst, parts[0]...)
	dst = strictjson.AppendText(dst, name)
	return append(dst, parts[1]...)
}

func (e *Edit) appendPullSecrets(dst []byte) []byte {
	for i, ref := range e.account.ImagePullSecrets {
		dst = append(dst, "[,"[min(i, 1)], '{')
		if ref.Name != "" {
			dst = strictjson.AppendText(append(dst, `"name":`...), ref.Name)
		}
		dst = append(dst, '}')
	}
	return append(dst, ']')
}
