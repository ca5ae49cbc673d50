package fake

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/kubesa/serviceaccount/keys/discovery"
	"github.com/kubesa/serviceaccount/sacontroller"
	"github.com/kubesa/serviceaccount/tokens"
)

// APIConfig configures [Authority.NewAPIHandler]. The zero value is a good one.
type APIConfig struct {
	// Controllers work before the first request is served, and after each write
	// before it is answered, until nothing is left to do. If nil, they are the
	// two of the Authority; an empty list stands for none, but Namespaces that
	// are being deleted are still finalized.
	//
	// They call the Cluster. One that writes through a client of this handler
	// would wait for itself.
	Controllers []sacontroller.Controller

	// AdmitPod, if set, decides about pods before they are stored: an error
	// refuses the request, as it is if it is a status error of
	// k8s.io/apimachinery, with 500 otherwise. A Plugin of this module's package
	// admission can be called here. It must be safe for concurrent use, and may
	// read the Cluster.
	AdmitPod func(ctx context.Context, op PodOperation) error

	// Observe, if set, is told of each request once it has been answered. It
	// must be safe for concurrent use.
	Observe func(APIOutcome)
}

// A PodOperation is what [APIConfig.AdmitPod] decides about.
type PodOperation struct {
	Operation admissionv1.Operation // CREATE, or UPDATE for updates and patches
	Namespace string
	Name      string // empty on CREATE if a name is to be generated
	// Subresource is empty, "status" or "ephemeralcontainers".
	Subresource string
	// Pod is the pod as it is to be stored. On CREATE it may be changed.
	Pod *corev1.Pod
	// Old is the stored pod, nil on CREATE.
	Old *corev1.Pod
}

// An APIOutcome says how a request to the handler went. Its texts come from the
// client; none of them is a token or what a Secret holds, unless a hook or a
// fault put it there.
type APIOutcome struct {
	Method, Path string
	User         string // empty for anonymous requests
	HTTPStatus   int    // 0 if nothing was sent
	Err          error  // what the client was told, nil for a success

	// Settle is what kept the controllers from coming to rest.
	Settle error

	// Panic and Stack are set if a hook, a fault or a controller panicked.
	Panic any
	Stack []byte
}

// NewAPIHandler returns an API server for the Cluster of a: kubectl, client-go
// and other clients of the Kubernetes API can be pointed at a server that
// serves it. It is safe for concurrent use, starts no goroutine, and never
// calls the Cluster but for a request.
//
// It serves create, get, list, watch, update, patch (all but apply), delete and
// deletecollection of the six kinds of a [Cluster] with their subresources,
// TokenRequests, TokenReviews, SelfSubjectReviews, the discovery documents of
// the API and of the issuer, tables for kubectl and partial metadata. Events
// are an empty list. Bodies are JSON or protobuf of at most 3 MiB, answers are
// JSON. Unknown fields are refused or warned of as fieldValidation asks, but
// for those in JSON patches.
//
// Every refusal is a Status with the code and reason of Kubernetes; a panic of
// a hook, a fault or a controller is a 500. The calls appear in
// [Cluster.Actions] and meet the faults of [Cluster.Inject].
//
// A request with a bearer token is refused with 401 unless the Authenticator of
// a accepts the token; its calls have the account as [Action.Actor]. A request
// without an Authorization header is anonymous, and allowed: there is no
// authorization, so serve it on the loopback interface only.
//
// Controllers that don't come to rest don't make a write fail: the answer has a
// Warning header, which kubectl prints.
//
// Watches stay open until their client goes, their timeoutSeconds have passed,
// or [Cluster.DropWatches] is called: call it before a server is shut down.
func (a *Authority) NewAPIHandler(cfg APIConfig) http.Handler {
	if cfg.Controllers == nil {
		cfg.Controllers = []sacontroller.Controller{a.Accounts, a.Secrets}
	}
	cfg.Controllers = slices.Clone(cfg.Controllers)
	return &apiHandler{authority: a, cluster: a.Cluster, cfg: cfg}
}

type apiHandler struct {
	authority *Authority
	cluster   *Cluster
	cfg       APIConfig
	started   atomic.Bool // the controllers have worked once
}

func (h *apiHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := &apiCall{
		apiHandler: h, request: r, answer: &apiWriter{ResponseWriter: w},
		ctx: r.Context(), query: r.URL.Query(),
		out: APIOutcome{Method: r.Method, Path: r.URL.Path},
	}
	defer c.finish()
	if err := c.serve(); err != nil {
		c.refuse(err)
	}
}

// apiCall is one request.
type apiCall struct {
	*apiHandler
	request *http.Request
	answer  *apiWriter
	ctx     context.Context
	query   url.Values
	user    *tokens.Identity // nil for anonymous
	view    apiView
	out     APIOutcome
}

// finish turns a panic into an answer, and tells the observer.
func (c *apiCall) finish() {
	if p := recover(); p != nil {
		c.out.Panic, c.out.Stack = p, debug.Stack()
		if c.answer.status == 0 && p != http.ErrAbortHandler {
			// The value of the panic is for the observer: it may be anything.
			c.refuse(errors.New("the server panicked"))
		} else {
			defer panic(http.ErrAbortHandler) // cuts the connection
		}
	}
	c.out.HTTPStatus = c.answer.status
	if c.cfg.Observe != nil {
		c.cfg.Observe(c.out)
	}
}

func (c *apiCall) serve() error {
	if err := c.authenticate(); err != nil {
		return err
	}
	if !c.started.Load() {
		c.settle()
	}
	path := strings.TrimSuffix(c.request.URL.Path, "/")
	switch path {
	case discovery.ConfigPath, discovery.JWKSPath:
		if err := c.allow(http.MethodGet); err != nil {
			return err
		}
		c.authority.Discovery.ServeHTTP(c.answer, c.request)
		return nil
	case "/healthz", "/livez", "/readyz":
		if err := c.allow(http.MethodGet); err != nil {
			return err
		}
		c.answer.Header().Set("Content-Type", "text/plain; charset=utf-8")
		c.send(http.StatusOK, []byte("ok"))
		return nil
	}
	var ok bool
	if c.view, ok = negotiate(c.request.Header.Values("Accept")); !ok {
		return statusError(http.StatusNotAcceptable, "NotAcceptable", "only application/json is served, with as=Table or as=PartialObjectMetadata of v=v1;g=meta.k8s.io if that is asked for")
	}
	if document := c.discovery(path); document != nil {
		if err := c.allow(http.MethodGet); err != nil {
			return err
		}
		return c.sendJSON(http.StatusOK, document)
	}
	if resource, ok := strings.CutPrefix(path, "/apis/authentication.k8s.io/v1/"); ok {
		return c.review(resource)
	}
	target, ok := parseTarget(path)
	if !ok {
		return errNoSuchPath()
	}
	return c.dispatch(target)
}

// authenticate finds out who calls. Only a request that says nothing of its
// sender is anonymous.
func (c *apiCall) authenticate() error {
	headers := c.request.Header.Values("Authorization")
	if len(headers) == 0 {
		return nil
	}
	scheme, token, _ := strings.Cut(headers[0], " ")
	if len(headers) > 1 || !strings.EqualFold(scheme, "Bearer") {
		return errUnauthorized()
	}
	identity, err := c.authority.Authenticator.Authenticate(c.ctx, token)
	if err != nil {
		return errUnauthorized()
	}
	c.user = identity
	c.out.User = identity.UserInfo().Username
	c.ctx = As(c.ctx, c.out.User)
	return nil
}

// settle lets the controllers work. What they report is told as a warning: the
// write that they were to follow up has happened. So it is settled although the
// client may go now.
func (c *apiCall) settle() {
	select {
	case c.authority.settling <- struct{}{}:
	default:
		select {
		case c.authority.settling <- struct{}{}:
		case <-c.ctx.Done():
			c.out.Settle = c.ctx.Err()
			return
		}
	}
	defer func() {
		c.started.Store(true)
		<-c.authority.settling
	}()
	if err := c.cluster.Settle(context.WithoutCancel(c.ctx), c.cfg.Controllers...); err != nil {
		c.out.Settle = err
		c.warn(fmt.Sprintf("the controllers did not come to rest: %v", err))
	}
}
