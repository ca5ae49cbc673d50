package admission

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// A Plan is what [Plugin.Admit] would do to a pod, in that order, and what it would
// leave as it is, and why.
type Plan []Step

// A Step is one change to a pod, or one that could be expected and is not made.
type Step struct {
	Action Action
	// Field is what the step is about, such as spec.serviceAccountName or
	// spec.containers[0].volumeMounts.
	Field string
	// Value is what the field is set to, or the element that is added to it: a
	// string, a [corev1.Volume], a [corev1.VolumeMount] or a
	// []corev1.LocalObjectReference. It is nil for Keep.
	Value any
	// Why is for people, and may change from release to release.
	Why string
}

// An Action is what a [Step] does to its field.
type Action int

const (
	Keep Action = iota // nothing
	Set                // give it a value that it did not have
	Add                // append an element
)

// String returns the action as a verb.
func (a Action) String() string {
	switch a {
	case Keep:
		return "keep"
	case Set:
		return "set"
	case Add:
		return "add to"
	}
	return fmt.Sprintf("Action(%d)", int(a))
}

// Changes reports whether the pod would be changed at all.
func (p Plan) Changes() bool {
	return slices.ContainsFunc(p, func(s Step) bool { return s.Action != Keep })
}

// String returns one line per step. It is the same for the same plan.
func (p Plan) String() string {
	lines := make([]string, len(p))
	for i, s := range p {
		lines[i] = s.String()
	}
	return strings.Join(lines, "\n")
}

// String returns, for example:
//
//	set spec.serviceAccountName: default (the pod names no account)
func (s Step) String() string {
	text := s.Action.String() + " " + s.Field
	switch v := s.Value.(type) {
	case nil:
	case corev1.Volume:
		text += ": " + v.Name
	case corev1.VolumeMount:
		text += ": " + v.Name + " at " + v.MountPath
	case []corev1.LocalObjectReference:
		names := make([]string, len(v))
		for i, ref := range v {
			names[i] = ref.Name
		}
		text += ": " + strings.Join(names, ", ")
	default:
		text += fmt.Sprintf(": %v", v)
	}
	return text + " (" + s.Why + ")"
}

// Plan says what [Plugin.Admit] would do to req.Pod, and why, and changes nothing. The
// name of a new volume is another one the next time, unless [Config.NewName] makes
// it the same. Nothing in the plan is shared with the pod or its account.
//
// The error is the refusal that Admit would return.
func (p *Plugin) Plan(ctx context.Context, req Request) (Plan, error) {
	v, err := p.decide(ctx, &req)
	if err != nil {
		return nil, err
	}
	return p.rules.plan(&req, v), nil
}

// plan describes what apply would do.
func (r *rules) plan(req *Request, v verdict) Plan {
	switch {
	case req.Pod == nil:
		return Plan{{Field: "pod", Why: "there is none"}}
	case !req.creates():
		return Plan{{Field: "pod", Why: "only pods that are created are changed"}}
	case v.account == nil:
		return Plan{{Field: "pod", Why: "it is a mirror pod"}}
	}
	plan := r.planAccount(&req.Pod.Spec, v.name)
	if why := r.noMount(&req.Pod.Spec, v); why != "" {
		plan = append(plan, Step{Field: "spec.volumes", Why: why})
	} else {
		plan = append(plan, r.planMounts(req.Pod, v)...)
		plan = append(plan, r.planVolume(v))
	}
	return append(plan, planPullSecrets(&req.Pod.Spec, v.account))
}

func (r *rules) planAccount(spec *corev1.PodSpec, name string) Plan {
	const field = "spec.serviceAccountName"
	first := Step{Set, field, name, "the pod names no account"}
	switch {
	case spec.ServiceAccountName != "":
		first = Step{Keep, field, nil, "the pod names " + name}
	case spec.DeprecatedServiceAccount != "":
		first.Why = "spec.serviceAccount, its old name, has it"
	}
	if spec.DeprecatedServiceAccount == name {
		return Plan{first}
	}
	return Plan{first, {Set, "spec.serviceAccount", name, "it is the old name of spec.serviceAccountName"}}
}

// noMount says why no container is looked at, or returns "".
func (r *rules) noMount(spec *corev1.PodSpec, v verdict) string {
	switch {
	case r.disableMount:
		return "tokens are never mounted here"
	case !r.wantsMount(spec, v.account) && spec.AutomountServiceAccountToken != nil:
		return "automountServiceAccountToken of the pod is false"
	case !r.wantsMount(spec, v.account):
		return "automountServiceAccountToken of the account is false"
	case len(spec.InitContainers)+len(spec.Containers) == 0:
		return "the pod has no containers"
	case r.tokenVolume == SecretBacked && v.token == "":
		return "the account has no token Secret"
	}
	return ""
}

func (r *rules) planMounts(pod *corev1.Pod, v verdict) Plan {
	var plan Plan
	optOut := r.optedOut(pod)
	for _, list := range []struct {
		field      string
		containers []corev1.Container
	}{{"initContainers", pod.Spec.InitContainers}, {"containers", pod.Spec.Containers}} {
		for i := range list.containers {
			c := &list.containers[i]
			step := Step{Field: fmt.Sprintf("spec.%s[%d].volumeMounts", list.field, i)}
			switch {
			case r.needsMount(c, optOut):
				step.Action, step.Value = Add, r.mount(v.volume)
				step.Why = "container " + c.Name + " has nothing mounted there"
			case r.needsMount(c, ""):
				step.Why = "container " + c.Name + " is listed in the annotation " + r.optOut
			default:
				step.Why = "container " + c.Name + " has something mounted at " + r.mountPath
			}
			plan = append(plan, step)
		}
	}
	return plan
}

func (r *rules) planVolume(v verdict) Step {
	const field = "spec.volumes"
	switch {
	case v.containers == 0:
		return Step{Keep, field, nil, "no container needs the token"}
	case !v.addVolume:
		return Step{Keep, field, nil, v.volume + " is taken for the token's volume"}
	case r.tokenVolume == SecretBacked:
		return Step{Add, field, r.volume(v.volume, v.token), "the token is in the Secret " + v.token}
	}
	return Step{Add, field, r.volume(v.volume, ""), "it projects the token, the ConfigMap " + r.rootCA + " and the namespace"}
}

func planPullSecrets(spec *corev1.PodSpec, account *corev1.ServiceAccount) Step {
	const field = "spec.imagePullSecrets"
	switch {
	case len(spec.ImagePullSecrets) > 0:
		return Step{Keep, field, nil, "the pod has its own"}
	case len(account.ImagePullSecrets) == 0:
		return Step{Keep, field, nil, "the account has none either"}
	}
	return Step{Set, field, slices.Clone(account.ImagePullSecrets), "the pod has none of its own"}
}
