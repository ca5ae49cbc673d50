package admission

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubesa/serviceaccount/admission/furthervolume"
	"github.com/kubesa/serviceaccount/admission/internal/budget"
)

// A Plugin decides about pods as the ServiceAccount admission plugin of
// Kubernetes does. It is stateless, and safe for concurrent use if the getters of
// its [Config] are.
type Plugin struct{ rules rules }

// New returns a Plugin, or an error naming every invalid field, each as a
// [*ConfigError]. It does no I/O.
func New(cfg Config) (*Plugin, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	p := &Plugin{cfg.rules()}
	p.rules.json = newFragments(&p.rules)
	return p, nil
}

// PodAnnotations returns the keys of the annotations that decisions about pods
// depend on, for programs that decode only a part of a pod.
func (p *Plugin) PodAnnotations() []string {
	keys := []string{corev1.MirrorPodAnnotationKey}
	if p.rules.OptOutAnnotation != "" {
		keys = append(keys, p.rules.OptOutAnnotation)
	}
	for i := range p.rules.FurtherVolumes {
		annotations, _ := p.rules.FurtherVolumes[i].PodKeys()
		keys = append(keys, annotations...)
	}
	return keys
}

// PodLabels returns the keys of the labels that decisions about pods depend on.
func (p *Plugin) PodLabels() []string {
	var keys []string
	for i := range p.rules.FurtherVolumes {
		_, labels := p.rules.FurtherVolumes[i].PodKeys()
		keys = append(keys, labels...)
	}
	return keys
}

// NeedsEnv reports whether decisions about pods depend on the names of all variables of
// their containers, not only on those that come from Secrets.
func (p *Plugin) NeedsEnv() bool {
	return slices.ContainsFunc(p.rules.FurtherVolumes, func(v furthervolume.Volume) bool { return len(v.Env) > 0 })
}

// Admit gives req.Pod, which is about to be created, the account it runs as, the
// token volume with its mounts, and the account's image pull secrets, and checks
// it as [Plugin.Validate] does. It looks the account up once. Mirror pods are only
// checked. Other requests are ignored. Admit is idempotent.
//
// The error is a denial, a *[k8s.io/apimachinery/pkg/api/errors.StatusError] that
// an API server can return as it is; the pod is left as it was. A retryable denial
// carries retryAfterSeconds in its details: the account or its token may exist
// soon, or the lookup failed.
//
// Admit is [Plugin.Decide] and [Decision.Apply].
func (p *Plugin) Admit(ctx context.Context, req Request) error {
	if !req.creates() {
		return req.checkOperation()
	}
	var edits [16]Edit // enough for most pods, so that Admit does not allocate them
	d, err := p.decide(ctx, &req, edits[:0])
	if err != nil || req.Pod == nil {
		return err
	}
	d.Apply(req.Pod)
	return nil
}

// Validate checks a pod that is about to be created, or whose ephemeral containers
// are about to be updated, and changes nothing. A pod must have an account that
// exists, and if the account limits what its pods may refer to, only Secrets that
// the account lists. Other requests are ignored.
//
// The error is a denial as in [Plugin.Admit].
func (p *Plugin) Validate(ctx context.Context, req Request) error {
	req.ValidateOnly = true
	_, err := p.decide(ctx, &req, nil)
	return err
}

// Decide decides about req and changes nothing: about a pod that is about to be
// created as [Plugin.Admit] does, about ephemeral containers as [Plugin.Validate]
// does. Use it to explain a decision, or to apply it to something else than a
// [corev1.Pod], as the package webhook does. The name of a new volume differs from
// call to call, unless [Config.NewName] is deterministic.
//
// The error is a denial as in Admit.
func (p *Plugin) Decide(ctx context.Context, req Request) (Decision, error) {
	n := 1
	if req.Pod != nil && req.creates() && !req.ValidateOnly {
		n = 4 + len(req.Pod.Spec.InitContainers) + len(req.Pod.Spec.Containers)
	}
	return p.decide(ctx, &req, make([]Edit, 0, n))
}

func (p *Plugin) decide(ctx context.Context, req *Request, edits []Edit) (Decision, error) {
	switch {
	case req.Ignored():
		return keepPod(edits, ignoredRequest), req.checkOperation()
	case req.Pod == nil:
		return keepPod(edits, noPod), nil
	case req.creates() && isMirror(req.Pod):
		return keepPod(edits, mirrorPod), checkMirror(&budget.Budget{Context: ctx}, req)
	case req.creates() && !req.ValidateOnly:
		return p.decideCreate(ctx, req, edits)
	}
	because := otherRequest
	if req.creates() {
		because = validateOnly
	}
	d := keepPod(edits, because)
	var err error
	d.Warnings, err = p.validate(ctx, req)
	return d, err
}

// keepPod returns the decision to leave a pod as it is.
func keepPod(edits []Edit, because why) Decision {
	return Decision{Edits: append(edits, Edit{Keep: true, why: because})}
}

func (p *Plugin) decideCreate(ctx context.Context, req *Request, edits []Edit) (Decision, error) {
	name := p.rules.accountName(&req.Pod.Spec)
	account, err := p.findAccount(ctx, req.namespace(), name)
	if err != nil {
		return Decision{}, p.rules.denyLookup(req, name, err, false)
	}
	token, err := p.findToken(ctx, req, account)
	if err != nil {
		return Decision{}, err
	}
	b := budget.Budget{Context: ctx}
	edits, err = p.rules.decide(&b, edits, req, account, token)
	if err != nil {
		return Decision{}, err
	}
	// Nothing that is added can be denied (ADM-116, ADM-219), so the pod is
	// checked as it came and stays as it came if it is denied.
	warnings, err := p.rules.check(&b, req, account)
	if err != nil {
		return Decision{}, err
	}
	return Decision{edits, warnings}, nil
}

// validate returns the warnings about the account.
func (p *Plugin) validate(ctx context.Context, req *Request) ([]string, error) {
	name := givenAccount(&req.Pod.Spec)
	if name == "" {
		return nil, denyNoAccount(req)
	}
	account, err := p.findAccount(ctx, req.namespace(), name)
	if err != nil {
		return nil, p.rules.denyLookup(req, name, err, req.creates())
	}
	return p.rules.check(&budget.Budget{Context: ctx}, req, account)
}
