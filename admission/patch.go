package admission

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
)

// fragments are the values of patches, but for the names that differ from pod to
// pod, encoded beforehand.
type fragments struct {
	mount, volume [2]string // before and after the volume's name
}

func newFragments(r *rules) fragments {
	return fragments{mount: split(r.mount("")), volume: split(r.volume("", ""))}
}

// split encodes a volume or a mount without a name, which always can be, and splits
// it where the name belongs.
func split(value any) [2]string {
	data, _ := json.Marshal(value)
	before, after, _ := strings.Cut(string(data), `"name":""`)
	return [2]string{before + `"name":`, after}
}

// A patch is a JSON Patch (RFC 6902) that is being written. It only adds, and only
// where something is to be added, so whatever else a pod has stays byte for byte.
type patch struct {
	buf []byte
}

// op begins an operation on what is at path.
func (p *patch) op(op string, path ...string) {
	if len(p.buf) == 0 {
		p.buf = append(p.buf, '[')
	} else {
		p.buf = append(p.buf, ',')
	}
	p.buf = append(p.buf, `{"op":"`...)
	p.buf = append(p.buf, op...)
	p.buf = append(p.buf, `","path":"`...)
	for _, part := range path {
		p.buf = append(p.buf, part...)
	}
	p.buf = append(p.buf, `","value":`...)
}

func (p *patch) raw(text string) { p.buf = append(p.buf, text...) }

func (p *patch) end() { p.buf = append(p.buf, '}') }

// bytes returns the patch, or nil if there is nothing to change.
func (p *patch) bytes() []byte {
	if len(p.buf) == 0 {
		return nil
	}
	return append(p.buf, ']')
}

// named writes a value that has the name of a volume in it.
func (p *patch) named(parts [2]string, name string) {
	p.raw(parts[0])
	p.buf = appendText(p.buf, name)
	p.raw(parts[1])
}

// newPatch returns what apply would do to the pod that in was read from.
func (pl *Plugin) newPatch(in *podJSON, v *verdict) []byte {
	p := &patch{buf: make([]byte, 0, 1024)}
	spec := &in.pod.Spec
	if !in.hasSpec {
		p.op("add", "/spec")
		p.raw("{}")
		p.end()
	}
	if spec.ServiceAccountName != v.name {
		p.op("add", "/spec/serviceAccountName")
		p.buf = appendText(p.buf, v.name)
		p.end()
	}
	if spec.DeprecatedServiceAccount != v.name {
		p.op("add", "/spec/serviceAccount")
		p.buf = appendText(p.buf, v.name)
		p.end()
	}
	if v.addVolume {
		pl.addVolume(p, spec.Volumes == nil, v)
	}
	if v.containers > 0 {
		pl.addMounts(p, in, v)
	}
	if len(spec.ImagePullSecrets) == 0 && len(v.account.ImagePullSecrets) > 0 {
		p.op("add", "/spec/imagePullSecrets")
		for i, ref := range v.account.ImagePullSecrets {
			p.raw([]string{"[", ","}[min(i, 1)])
			if ref.Name == "" {
				p.raw(`{}`)
				continue
			}
			p.raw(`{"name":`)
			p.buf = appendText(p.buf, ref.Name)
			p.end()
		}
		p.raw("]")
		p.end()
	}
	return p.bytes()
}

func (pl *Plugin) addVolume(p *patch, first bool, v *verdict) {
	if first {
		p.op("add", "/spec/volumes")
		p.raw("[")
	} else {
		p.op("add", "/spec/volumes/-")
	}
	if pl.rules.tokenVolume == SecretBacked {
		p.raw(`{"name":`)
		p.buf = appendText(p.buf, v.volume)
		p.raw(`,"secret":{"secretName":`)
		p.buf = appendText(p.buf, v.token)
		p.raw("}}")
	} else {
		p.named(pl.json.volume, v.volume)
	}
	if first {
		p.raw("]")
	}
	p.end()
}

func (pl *Plugin) addMounts(p *patch, in *podJSON, v *verdict) {
	optOut := pl.rules.optedOut(&in.pod)
	for _, list := range []struct {
		path       string
		init       bool
		containers []corev1.Container
	}{{"/spec/initContainers/", true, in.pod.Spec.InitContainers}, {"/spec/containers/", false, in.pod.Spec.Containers}} {
		for i := range list.containers {
			c := &list.containers[i]
			if !pl.rules.needsMount(c, optOut) {
				continue
			}
			index := strconv.Itoa(i)
			switch {
			case slices.Contains(in.nulls, position{list.init, i}):
				p.op("replace", list.path, index)
				p.raw(`{"volumeMounts":[`)
				p.named(pl.json.mount, v.volume)
				p.raw("]}")
			case c.VolumeMounts == nil:
				p.op("add", list.path, index, "/volumeMounts")
				p.raw("[")
				p.named(pl.json.mount, v.volume)
				p.raw("]")
			default:
				p.op("add", list.path, index, "/volumeMounts/-")
				p.named(pl.json.mount, v.volume)
			}
			p.end()
		}
	}
}

// appendText appends s as a JSON text. What is not valid UTF-8 is replaced.
func appendText(buf []byte, s string) []byte {
	buf = append(buf, '"')
	for i := 0; i < len(s); {
		if isPlain(s[i]) {
			buf = append(buf, s[i])
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == '"' || r == '\\':
			buf = append(buf, '\\', s[i])
		case r < ' ':
			const hex = "0123456789abcdef"
			buf = append(buf, '\\', 'u', '0', '0', hex[r>>4], hex[r&15])
		default:
			buf = utf8.AppendRune(buf, r)
		}
		i += n
	}
	return append(buf, '"')
}
