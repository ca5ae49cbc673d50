package admission

import (
	"context"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
)

// A Plugin decides about pods as the ServiceAccount admission plugin of
// Kubernetes does. Make one with [New]. It has no state of its own and is safe for
// concurrent use if the getters that it was made with are.
type Plugin struct {
	rules       rules
	cached      ServiceAccountGetter
	live        ServiceAccountGetter // nil if cached is live
	wait        func(ctx context.Context, namespace, name string) error
	waitTimeout time.Duration
	secrets     SecretGetter
	json        fragments
}

// New returns a Plugin, or an error that joins one [*ConfigError] for each mistake
// in cfg. It does no I/O.
func New(cfg Config) (*Plugin, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	p := &Plugin{
		rules:       cfg.rules(),
		cached:      cfg.ServiceAccounts,
		live:        cfg.Live,
		wait:        cfg.Wait,
		waitTimeout: cfg.WaitTimeout,
		secrets:     cfg.Secrets,
	}
	if p.waitTimeout == 0 {
		p.waitTimeout = defaultWaitTimeout
	}
	if p.wait == nil {
		p.wait = poll()
	}
	p.json = newFragments(&p.rules)
	return p, nil
}

// A Request is what is to be decided about: an operation on a pod.
type Request struct {
	Operation admissionv1.Operation
	// Namespace is the namespace of the request. If it is empty, that of Pod
	// counts.
	Namespace string
	// Name is the name in the request, which is empty when a name is to be
	// generated. It serves error texts only.
	Name string
	// Subresource is empty for the pod itself. "ephemeralcontainers" is checked on
	// UPDATE, and means nothing special on CREATE; all others are ignored.
	Subresource string
	// Pod is the pod as it is to be stored. A nil Pod is nothing to decide about.
	Pod *corev1.Pod
}

const ephemeralContainers = "ephemeralcontainers"

// creates reports whether req is the creation of a pod. No API server creates
// ephemeral containers; if one did, it would be a new pod to Kubernetes (ADM-3,
// ADM-6), and must not get past the checks here.
func (req *Request) creates() bool {
	return req.Operation == admissionv1.Create && (req.Subresource == "" || req.Subresource == ephemeralContainers)
}

// updatesEphemeral reports whether req is an update of ephemeral containers.
func (req *Request) updatesEphemeral() bool {
	return req.Operation == admissionv1.Update && req.Subresource == ephemeralContainers
}

// Handles reports whether the plugin has anything to say about op: only about
// CREATE and UPDATE.
func (p *Plugin) Handles(op admissionv1.Operation) bool {
	return op == admissionv1.Create || op == admissionv1.Update
}

// Admit gives req.Pod, which is about to be created, the account it runs as, the
// token volume with its mounts, and the account's image pull secrets, and checks it
// as [Plugin.Validate] does. It looks the account up once. Mirror pods are only
// checked. Anything but the creation of a pod is none of its business: it returns
// nil and changes nothing. Doing it twice is the same as doing it once.
//
// The error is a refusal, a *[k8s.io/apimachinery/pkg/api/errors.StatusError]
// that an API server can return as it is. Then the pod is as it was. If its
// details have retryAfterSeconds, trying again may help: the account or its token
// may be there soon, or the lookup failed.
//
// Admit changes only what it adds to: pod's slices are replaced, never appended
// to in place, and nothing of the account is shared with the pod.
func (p *Plugin) Admit(ctx context.Context, req Request) error {
	v, err := p.decide(ctx, &req)
	if err != nil || v.account == nil {
		return err
	}
	v.apply(&p.rules, req.Pod)
	return nil
}

// Validate checks a pod that is about to be created, or whose ephemeral containers
// are about to be updated, and changes nothing. A pod must have an account that
// exists, and if the account limits what its pods may refer to, only Secrets that
// the account lists. Anything else is none of its business: it returns nil.
//
// The error is a refusal as in [Plugin.Admit].
func (p *Plugin) Validate(ctx context.Context, req Request) error {
	_, err := p.validate(ctx, &req)
	return err
}

// A verdict is what is to be done to a pod that is admitted. Its account is nil if
// nothing is.
type verdict struct {
	changes
	account *corev1.ServiceAccount
}

// decide looks up what it takes to decide about req as [Plugin.Admit] does, and
// changes nothing.
func (p *Plugin) decide(ctx context.Context, req *Request) (verdict, error) {
	if req.Pod == nil || !req.creates() {
		return verdict{}, nil
	}
	if isMirror(req.Pod) {
		return verdict{}, checkMirror(req)
	}
	name := p.rules.accountName(&req.Pod.Spec)
	account, err := p.findAccount(ctx, req.namespace(), name)
	if err != nil {
		return verdict{}, p.rules.refuseLookup(req, name, err, false)
	}
	token, err := p.findToken(ctx, req, account)
	if err != nil {
		return verdict{}, err
	}
	c, err := p.rules.decide(req.Pod, account, token)
	if err != nil {
		return verdict{}, err
	}
	// Nothing that is going to be added can be refused (ADM-116, ADM-219), so
	// the pod is judged as it came and stays as it came if it is refused.
	if err := p.rules.checkCreate(req, account); err != nil {
		return verdict{}, err
	}
	c.name = name
	return verdict{c, account}, nil
}

// validate returns the account that it looked up, if any.
func (p *Plugin) validate(ctx context.Context, req *Request) (*corev1.ServiceAccount, error) {
	if req.Pod == nil {
		return nil, nil
	}
	switch {
	case req.updatesEphemeral():
	case !req.creates():
		return nil, nil
	case isMirror(req.Pod):
		return nil, checkMirror(req)
	}
	name := givenAccount(&req.Pod.Spec)
	if name == "" {
		return nil, refuseNoAccount(req)
	}
	account, err := p.findAccount(ctx, req.namespace(), name)
	if err != nil {
		return nil, p.rules.refuseLookup(req, name, err, req.Operation == admissionv1.Create)
	}
	if req.updatesEphemeral() {
		return account, p.rules.checkEphemeral(req, account)
	}
	return account, p.rules.checkCreate(req, account)
}

func (req *Request) namespace() string {
	if req.Namespace == "" {
		return req.Pod.Namespace
	}
	return req.Namespace
}
