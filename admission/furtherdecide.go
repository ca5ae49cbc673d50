package admission

import (
	"encoding/json"
	"fmt"
	"path"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubesa/serviceaccount/internal/names"
)

// A furtherEdit is what an edit adds for a further volume, and why.
type furtherEdit struct {
	volume *corev1.Volume // or
	mount  *corev1.VolumeMount
	env    *corev1.EnvVar
	why    string
}

// value is [Edit.Value].
func (f *furtherEdit) value() any {
	switch {
	case f.volume != nil:
		return *f.volume.DeepCopy()
	case f.env != nil:
		return *f.env
	}
	return *f.mount
}

// appendJSON is [Edit.AppendJSON]. These values always can be encoded.
func (f *furtherEdit) appendJSON(dst []byte) []byte {
	data, _ := json.Marshal(f.value())
	return append(dst, data...)
}

// decideFurther appends the edits for all further volumes, each on its own (WEB-28).
func (r *rules) decideFurther(b *budget, edits []Edit, pod *corev1.Pod, account *corev1.ServiceAccount) ([]Edit, error) {
	for i := range r.further {
		var err error
		if edits, err = r.further[i].decide(b, edits, pod, account); err != nil {
			return nil, err
		}
	}
	return edits, nil
}

// decide appends the edits for one further volume.
func (f *FurtherVolume) decide(b *budget, edits []Edit, pod *corev1.Pod, account *corev1.ServiceAccount) ([]Edit, error) {
	if why := f.When.missing(pod, account); why != "" {
		return append(edits, f.keep(fieldVolumes, 0, false, why)), nil
	}
	audience := first(annotation(pod.Annotations, f.InsecurePodAudience), annotation(account.Annotations, f.AccountAudience), f.Audience)
	seconds, err := f.seconds(pod, account)
	if err != nil {
		return nil, err
	}
	there, err := f.existing(b, pod, audience)
	if err != nil {
		return nil, err
	}
	skipped, err := f.skipped(b, pod)
	if err != nil {
		return nil, err
	}
	volume := len(edits)
	edits = append(edits, f.keep(fieldVolumes, 0, false, "no container needs it"))
	variables := f.variables(pod, account)
	for _, list := range [...]struct {
		field      string
		containers []corev1.Container
	}{{fieldInitContainers, pod.Spec.InitContainers}, {fieldContainers, pod.Spec.Containers}} {
		for i := range list.containers {
			c := &list.containers[i]
			if skipped[c.Name] {
				edits = append(edits, f.keep(list.field, i, false, "container "+c.Name+" is listed in the annotation "+f.SkipContainers))
				continue
			}
			taken, err := mountsAt(b, c, f.MountPath)
			if err != nil {
				return nil, err
			}
			if taken {
				edits = append(edits, f.keep(list.field, i, false, "container "+c.Name+" has something mounted at "+f.MountPath))
			} else {
				edits = append(edits, Edit{Field: list.field, Container: i, further: &furtherEdit{
					mount: &corev1.VolumeMount{Name: f.Name, ReadOnly: true, MountPath: f.MountPath}, why: "container " + c.Name + " has nothing mounted there"}})
				if there {
					edits[volume] = f.keep(fieldVolumes, 0, false, f.Name+" projects the token already")
				} else {
					edits[volume] = Edit{Field: fieldVolumes, further: &furtherEdit{volume: f.volume(audience, seconds),
						why: fmt.Sprintf("it projects a token for %q that lives for %d s", audience, seconds)}}
				}
			}
			if edits, err = f.decideEnv(b, edits, list.field, i, c, variables); err != nil {
				return nil, err
			}
		}
	}
	return edits, nil
}

// keep returns an edit that changes nothing.
func (f *FurtherVolume) keep(field string, container int, env bool, why string) Edit {
	return Edit{Field: field, Container: container, Env: env, Keep: true, further: &furtherEdit{why: f.Name + ": " + why}}
}

// missing says which part of c doesn't hold, empty if all do (WEB-21).
func (c *Condition) missing(pod *corev1.Pod, account *corev1.ServiceAccount) string {
	for _, part := range [...]struct {
		what, want string
		have       map[string]string
	}{
		{"annotation of the account", c.AccountAnnotation, account.Annotations},
		{"label of the account", c.AccountLabel, account.Labels},
		{"annotation of the pod", c.PodAnnotation, pod.Annotations},
		{"label of the pod", c.PodLabel, pod.Labels},
	} {
		key, value, exact := strings.Cut(part.want, "=")
		got := part.have[key]
		if part.want != "" && (exact && got != value || !exact && got == "") {
			return "the " + part.what + " " + part.want + " is missing"
		}
	}
	return ""
}

func annotation(annotations map[string]string, key string) string {
	if key == "" {
		return ""
	}
	return annotations[key]
}

func first(values ...string) string {
	for _, value := range values {
		if value != "" {
			return value
		}
	}
	return ""
}

// seconds returns how long the token lives (WEB-23).
func (f *FurtherVolume) seconds(pod *corev1.Pod, account *corev1.ServiceAccount) (int64, error) {
	minimum, maximum := f.lifetimes()
	lifetime := int64(f.lifetime() / time.Second)
	for _, text := range []struct{ value, key, of string }{
		{annotation(pod.Annotations, f.PodLifetime), f.PodLifetime, "pod"},
		{annotation(account.Annotations, f.AccountLifetime), f.AccountLifetime, "account"},
	} {
		if text.value == "" {
			continue
		}
		n, err := strconv.ParseInt(text.value, 10, 64)
		if err != nil {
			if f.IgnoreInvalidLifetime {
				continue
			}
			return 0, deny(&Request{Pod: pod}, fmt.Sprintf("the annotation %s of the %s is %s, want a number of seconds", text.key, text.of, names.Quote(text.value)))
		}
		lifetime = n
		break
	}
	least, most := int64(minimum/time.Second), int64(maximum/time.Second)
	if clamped := max(least, min(lifetime, most)); clamped != lifetime {
		if !f.ClampLifetime {
			return 0, deny(&Request{Pod: pod}, fmt.Sprintf("a token for %d s is asked for in the volume %s, want %d to %d s", lifetime, f.Name, least, most))
		}
		lifetime = clamped
	}
	return lifetime, nil
}

// existing reports whether pod has the volume. Another one of that name denies the pod
// (WEB-27).
func (f *FurtherVolume) existing(b *budget, pod *corev1.Pod, audience string) (bool, error) {
	if err := b.spend(len(pod.Spec.Volumes)); err != nil {
		return false, err
	}
	for i := range pod.Spec.Volumes {
		v := &pod.Spec.Volumes[i]
		if v.Name != f.Name {
			continue
		}
		var token *corev1.ServiceAccountTokenProjection
		if v.Projected != nil {
			if err := b.spend(len(v.Projected.Sources)); err != nil {
				return false, err
			}
			for j := range v.Projected.Sources {
				if t := v.Projected.Sources[j].ServiceAccountToken; t != nil && t.Path == f.file() {
					token = t
				}
			}
		}
		if token == nil || token.Audience != audience {
			return false, deny(&Request{Pod: pod}, fmt.Sprintf("the pod has a volume %s that does not project a token for %q as %s", f.Name, audience, f.file()))
		}
		return true, nil
	}
	return false, nil
}

// volume returns the volume. The token comes first.
func (f *FurtherVolume) volume(audience string, seconds int64) *corev1.Volume {
	p := &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{
		Audience: audience, ExpirationSeconds: &seconds, Path: f.file(),
	}}}}
	for i := range f.Sources {
		p.Sources = append(p.Sources, *f.Sources[i].DeepCopy())
	}
	if f.Mode != nil {
		mode := *f.Mode
		p.DefaultMode = &mode
	}
	return &corev1.Volume{Name: f.Name, VolumeSource: corev1.VolumeSource{Projected: p}}
}

// skipped returns the containers that the pod lists (WEB-14, WEB-26).
func (f *FurtherVolume) skipped(b *budget, pod *corev1.Pod) (map[string]bool, error) {
	list := annotation(pod.Annotations, f.SkipContainers)
	if list == "" {
		return nil, nil
	}
	if err := b.spend(len(list)); err != nil {
		return nil, err
	}
	skipped := map[string]bool{}
	for name := range strings.SplitSeq(list, first(f.SkipSeparator, ",")) {
		if name = strings.TrimSpace(name); len(name) <= maxContainerName {
			skipped[name] = true
		}
	}
	return skipped, nil
}

// maxContainerName is the length of the longest name of a container.
const maxContainerName = 63

// mountsAt reports whether c has something mounted at p.
func mountsAt(b *budget, c *corev1.Container, p string) (bool, error) {
	for i := range c.VolumeMounts {
		at := c.VolumeMounts[i].MountPath
		if err := b.spend(1 + len(at)); err != nil {
			return false, err
		}
		if at == p || path.Clean(at) == p {
			return true, nil
		}
	}
	return false, nil
}

// A variable is an EnvVar with its value.
type variable struct {
	corev1.EnvVar
	group string
}

// variables returns the variables that have a value (WEB-25).
func (f *FurtherVolume) variables(pod *corev1.Pod, account *corev1.ServiceAccount) []variable {
	var variables []variable
	for i := range f.Env {
		e := &f.Env[i]
		file := ""
		if e.TokenFile {
			file = path.Join(f.MountPath, f.file())
		}
		if value := first(annotation(pod.Annotations, e.PodAnnotation), annotation(account.Annotations, e.AccountAnnotation), file, e.Value); value != "" {
			variables = append(variables, variable{corev1.EnvVar{Name: e.Name, Value: escapeReferences(value)}, e.Group})
		}
	}
	return variables
}

// escapeReferences keeps the kubelet from replacing $(NAME) in a value that others wrote.
func escapeReferences(value string) string { return strings.ReplaceAll(value, "$(", "$$(") }

// decideEnv appends the edits for the variables of a container (WEB-11).
func (f *FurtherVolume) decideEnv(b *budget, edits []Edit, field string, index int, c *corev1.Container, variables []variable) ([]Edit, error) {
	if len(variables) == 0 {
		return edits, nil
	}
	if err := b.spend(len(c.Env)); err != nil {
		return nil, err
	}
	has, groups := map[string]bool{}, map[string]bool{}
	for i := range variables {
		has[variables[i].Name] = false
	}
	for i := range c.Env {
		if _, ok := has[c.Env[i].Name]; ok {
			has[c.Env[i].Name] = true
		}
	}
	for i := range variables {
		if v := &variables[i]; v.group != "" && has[v.Name] {
			groups[v.group] = true
		}
	}
	for i := range variables {
		switch v := &variables[i]; {
		case has[v.Name]:
			edits = append(edits, f.keep(field, index, true, "container "+c.Name+" has the variable "+v.Name))
		case groups[v.group]:
			edits = append(edits, f.keep(field, index, true, "container "+c.Name+" has another variable of the group of "+v.Name))
		default:
			has[v.Name] = true
			env := v.EnvVar
			edits = append(edits, Edit{Field: field, Container: index, Env: true, further: &furtherEdit{env: &env, why: "container " + c.Name + " doesn't have it"}})
		}
	}
	return edits, nil
}
