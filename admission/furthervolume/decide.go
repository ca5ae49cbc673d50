package furthervolume

import (
	"context"
	"fmt"
	"path"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubesa/serviceaccount/admission/internal/budget"
	"github.com/kubesa/serviceaccount/admission/internal/podrules"
	"github.com/kubesa/serviceaccount/internal/names"
)

// A DenialError says why a pod is denied.
type DenialError struct {
	Problem string // for people
}

// Error implements the error interface.
func (e *DenialError) Error() string { return "furthervolume: " + e.Problem }

func deny(format string, args ...any) error { return &DenialError{fmt.Sprintf(format, args...)} }

const (
	// maxAdded is how many bytes a pod gets at most: values of annotations may be long and
	// containers many. It is more than any API server stores.
	maxAdded = 3 << 20
	// editOverhead is what an edit takes besides the texts that it adds.
	editOverhead = 64
)

// Decide returns what a pod of account that is created gets for all volumes, and what it
// doesn't get and why: for each first the volume, then mounts and variables, container by
// container. It changes nothing, and expects what [Volume.Validate] accepts.
//
// The error is a [*DenialError], or if ctx has ended, a timeout of
// k8s.io/apimachinery: try again.
func Decide(ctx context.Context, volumes []Volume, pod *corev1.Pod, account *corev1.ServiceAccount) ([]Edit, error) {
	d := newDecider(ctx, pod, account)
	if err := d.decideAll(volumes); err != nil {
		return nil, err
	}
	return d.edits, nil
}

// A decider decides about one pod.
type decider struct {
	budget  budget.Budget
	pod     *corev1.Pod
	account *corev1.ServiceAccount
	edits   []Edit
	added   int // bytes
	// shared are the variables that several volumes set, and given the containers that get
	// one: the first volume does it.
	shared map[string]bool
	given  map[place]bool
}

// A place is where a variable is set.
type place struct {
	field     string
	container int
	name      string
}

func newDecider(ctx context.Context, pod *corev1.Pod, account *corev1.ServiceAccount) *decider {
	return &decider{budget: budget.Budget{Context: ctx}, pod: pod, account: account, shared: map[string]bool{}, given: map[place]bool{}}
}

func (d *decider) decideAll(volumes []Volume) error {
	seen := map[string]int{}
	for i := range volumes {
		for j := range volumes[i].Env {
			name := volumes[i].Env[j].Name
			if first, ok := seen[name]; ok && first != i {
				d.shared[name] = true
			} else {
				seen[name] = i
			}
		}
	}
	for i := range volumes {
		if err := d.decide(&volumes[i]); err != nil {
			return err
		}
	}
	return nil
}

// add appends an edit that adds so many bytes.
func (d *decider) add(e Edit, bytes int) error {
	d.edits = append(d.edits, e)
	if d.added += editOverhead + bytes; d.added > maxAdded {
		return deny("what is added to the pod is longer than %d bytes", maxAdded)
	}
	return d.budget.Spend(1)
}

func (d *decider) decide(v *Volume) error {
	pod, volume := d.pod, Edit{Field: podrules.Volumes, volume: v.Name, why: "no container needs it"}
	if why := v.When.missing(pod, d.account); why != "" {
		volume.why = why
		return d.add(volume, 0)
	}
	audience := first(podrules.Annotation(pod.Annotations, v.InsecurePodAudience), podrules.Annotation(d.account.Annotations, v.AccountAudience), v.Audience)
	seconds, err := v.seconds(pod, d.account)
	if err != nil {
		return err
	}
	exists, err := v.exists(&d.budget, pod, audience)
	if err != nil {
		return err
	}
	skipped, err := podrules.Listed(&d.budget, &pod.Spec, podrules.Annotation(pod.Annotations, v.SkipContainers), first(v.SkipSeparator, ","))
	if err != nil {
		return err
	}
	at, needed, variables := len(d.edits), false, v.variables(pod, d.account)
	if err := d.add(volume, len(audience)); err != nil {
		return err
	}
	var mount any = corev1.VolumeMount{Name: v.Name, ReadOnly: true, MountPath: v.MountPath}
	for _, list := range podrules.Lists(&pod.Spec) {
		for i := range list.Containers {
			c := &list.Containers[i]
			e := Edit{Field: list.Field, Container: i, volume: v.Name, container: c.Name}
			if skipped[c.Name] {
				e.why = " is listed in the annotation " + v.SkipContainers
				if err := d.add(e, 0); err != nil {
					return err
				}
				continue
			}
			taken, err := podrules.MountAt(&d.budget, c, v.MountPath, true)
			if err != nil {
				return err
			}
			if taken != nil {
				needed = needed || taken.Name == v.Name
				e.why = " has something mounted at " + v.MountPath
			} else {
				needed, e.Add, e.why = true, mount, " has nothing mounted there"
			}
			if err := d.add(e, len(v.Name)+len(v.MountPath)); err != nil {
				return err
			}
			if err := d.decideEnv(e, c.Env, variables); err != nil {
				return err
			}
		}
	}
	switch {
	case needed && exists:
		d.edits[at].why = v.Name + " projects the token already"
	case needed:
		d.edits[at].Add, d.edits[at].why = v.volume(audience, seconds), fmt.Sprintf("it projects a token for %s that lives for %d s", names.Quote(audience), seconds)
	}
	return nil
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
		if got, ok := part.have[key]; part.want != "" && (!ok || exact && got != value || !exact && got == "") {
			return "the " + part.what + " " + part.want + " is missing"
		}
	}
	return ""
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
func (v *Volume) seconds(pod *corev1.Pod, account *corev1.ServiceAccount) (int64, error) {
	minimum, maximum := v.lifetimes()
	lifetime := int64(v.lifetime() / time.Second)
	for _, text := range []struct{ value, key, of string }{
		{podrules.Annotation(pod.Annotations, v.PodLifetime), v.PodLifetime, "pod"},
		{podrules.Annotation(account.Annotations, v.AccountLifetime), v.AccountLifetime, "account"},
	} {
		if text.value == "" {
			continue
		}
		n, err := strconv.ParseInt(text.value, 10, 64)
		if err != nil {
			if v.IgnoreInvalidLifetime {
				continue
			}
			return 0, deny("the annotation %s of the %s is %s, want a number of seconds", text.key, text.of, names.Quote(text.value))
		}
		lifetime = n
		break
	}
	least, most := int64(minimum/time.Second), int64(maximum/time.Second)
	if clamped := max(least, min(lifetime, most)); clamped != lifetime {
		if !v.ClampLifetime {
			return 0, deny("a token for %d s is asked for in the volume %s, want %d to %d s", lifetime, v.Name, least, most)
		}
		lifetime = clamped
	}
	return lifetime, nil
}

// exists reports whether pod has the volume. Another one of that name denies the pod
// (WEB-27).
func (v *Volume) exists(b *budget.Budget, pod *corev1.Pod, audience string) (bool, error) {
	if err := b.Spend(len(pod.Spec.Volumes)); err != nil {
		return false, err
	}
	for i := range pod.Spec.Volumes {
		have := &pod.Spec.Volumes[i]
		if have.Name != v.Name {
			continue
		}
		var token *corev1.ServiceAccountTokenProjection
		if p := have.Projected; p != nil {
			if err := b.Spend(len(p.Sources)); err != nil {
				return false, err
			}
			for j := range p.Sources {
				if t := p.Sources[j].ServiceAccountToken; t != nil && t.Path == v.file() {
					token = t
				}
			}
		}
		if token == nil || token.Audience != audience {
			return false, deny("the pod has a volume %s that does not project a token for %s as %s", v.Name, names.Quote(audience), v.file())
		}
		return true, nil
	}
	return false, nil
}

// volume returns the volume. The token comes first.
func (v *Volume) volume(audience string, seconds int64) corev1.Volume {
	p := &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{
		Audience: audience, ExpirationSeconds: &seconds, Path: v.file(),
	}}}}
	own := v.Clone()
	p.Sources, p.DefaultMode = append(p.Sources, own.Sources...), own.Mode
	return corev1.Volume{Name: v.Name, VolumeSource: corev1.VolumeSource{Projected: p}}
}

// A variable is an EnvVar that has a value.
type variable struct {
	corev1.EnvVar
	add   any // the same
	group string
}

// variables returns the variables that have a value (WEB-25).
func (v *Volume) variables(pod *corev1.Pod, account *corev1.ServiceAccount) []variable {
	var variables []variable
	for i := range v.Env {
		e := &v.Env[i]
		file := ""
		if e.TokenFile {
			file = path.Join(v.MountPath, v.file())
		}
		if value := first(podrules.Annotation(pod.Annotations, e.PodAnnotation), podrules.Annotation(account.Annotations, e.AccountAnnotation), file, e.Value); value != "" {
			env := corev1.EnvVar{Name: e.Name, Value: escapeReferences(value)}
			variables = append(variables, variable{env, env, e.Group})
		}
	}
	return variables
}

// escapeReferences keeps the kubelet from replacing $(NAME) in a value that others wrote.
func escapeReferences(value string) string { return strings.ReplaceAll(value, "$(", "$$(") }

// decideEnv appends the edits for the variables of a container, each with the container
// of e, which has env (WEB-11).
func (d *decider) decideEnv(e Edit, env []corev1.EnvVar, variables []variable) error {
	if err := d.budget.Spend(len(env)); err != nil {
		return err
	}
	has, groups := make(map[string]bool, len(variables)), map[string]bool{}
	for i := range variables {
		has[variables[i].Name] = d.given[place{e.Field, e.Container, variables[i].Name}]
	}
	for i := range env {
		if _, ok := has[env[i].Name]; ok {
			has[env[i].Name] = true
		}
	}
	for i := range variables {
		if v := &variables[i]; v.group != "" && has[v.Name] {
			groups[v.group] = true
		}
	}
	for i := range variables {
		v, bytes := &variables[i], 0
		e.Env, e.Add = true, nil
		switch {
		case has[v.Name]:
			e.why = " has the variable " + v.Name
		case groups[v.group]:
			e.why = " has another variable of the group of " + v.Name
		default:
			has[v.Name], e.Add, e.why, bytes = true, v.add, " doesn't have it", len(v.Name)+len(v.Value)
			if d.shared[v.Name] {
				d.given[place{e.Field, e.Container, v.Name}] = true
			}
		}
		if err := d.add(e, bytes); err != nil {
			return err
		}
	}
	return nil
}
