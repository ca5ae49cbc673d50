package apiserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/fake/apiserver/fieldmanager"
	"github.com/kubesa/serviceaccount/fake/apiserver/internal/api"
	"github.com/kubesa/serviceaccount/fake/apiserver/internal/view"
	"github.com/kubesa/serviceaccount/fake/internal/object"
	"github.com/kubesa/serviceaccount/fake/internal/warning"
	"github.com/kubesa/serviceaccount/internal/configerror"
	"github.com/kubesa/serviceaccount/internal/logvalue"
	"github.com/kubesa/serviceaccount/keys/discovery"
	"github.com/kubesa/serviceaccount/sacontroller"
	"github.com/kubesa/serviceaccount/tokens"
)

// A ConfigError says what is wrong with one field of a [Config], or with the
// authority, which has the field name "authority". It is the same type in every package of
// this library.
type ConfigError = configerror.Error

// Config configures [New]. The zero value is a good one.
type Config struct {
	// Controllers work before the first request is served, and after each write
	// before it is answered, until nothing is left to do. If nil, they are the
	// two of the Authority; an empty list stands for none, but Namespaces that
	// are being deleted are still finalized.
	//
	// They call the Cluster. One that writes through a client of this handler
	// would wait for itself.
	Controllers []sacontroller.Controller

	// AdmitPod, if set, decides about pods before they are stored: an error
	// denies the request. A status error of k8s.io/apimachinery is returned as it is,
	// any other as 500. A Plugin of this module's package
	// admission can be called here. It must be safe for concurrent use, and may
	// read the Cluster.
	AdmitPod func(ctx context.Context, op PodOperation) error

	// Observe, if set, is called with each request once it has been answered, and
	// with its context. It must be safe for concurrent use.
	Observe func(ctx context.Context, e Event)
}

// A PodOperation is what [Config.AdmitPod] decides about.
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

// An Event says how a request to the Handler ended. Its texts come from the
// client; none of them is a token or what a Secret holds, unless a hook or a
// fault put it there.
type Event struct {
	Method, Path string
	User         string // empty for anonymous requests
	HTTPStatus   int    // 0 if nothing was sent
	Err          error  // the error that the client got; nil for a success

	// Settle is what kept the controllers from coming to rest.
	Settle error

	// Panic and Stack are set if a hook, a fault or a controller panicked.
	Panic any
	Stack []byte
}

// LogValue returns e for log/slog.
func (e Event) LogValue() slog.Value { return logvalue.Of(e) }

// A Handler is an API server for the Cluster of an Authority: kubectl, client-go
// and other clients of the Kubernetes API can be pointed at a server that serves
// it. It is safe for concurrent use, starts no goroutine, and never calls the
// Cluster but for a request.
type Handler struct {
	authority *fake.Authority
	cluster   *fake.Cluster
	cfg       Config
	started   atomic.Bool // the controllers have worked once
}

// New returns a Handler that serves the Cluster of authority, which is one of
// [fake.NewAuthority], and keeps its managedFields from then on; or an error naming
// every invalid field, each as a [*ConfigError].
func New(authority *fake.Authority, cfg Config) (*Handler, error) {
	errs := configerror.List{Config: "apiserver.Config"}
	if authority == nil || authority.Cluster == nil || authority.Authenticator == nil || authority.Discovery == nil {
		errs.Add("authority", "is nil or incomplete, want one of fake.NewAuthority")
	} else if cfg.Controllers == nil {
		cfg.Controllers = []sacontroller.Controller{authority.Accounts, authority.Secrets}
	}
	cfg.Controllers = slices.Clone(cfg.Controllers)
	for i, controller := range cfg.Controllers {
		errs.Require(fmt.Sprintf("Controllers[%d]", i), controller, "a Controller")
	}
	if err := errs.Err(); err != nil {
		return nil, err
	}
	authority.Cluster.ManageFields(fieldmanager.New())
	return &Handler{authority: authority, cluster: authority.Cluster, cfg: cfg}, nil
}

// Warn adds a warning to the response to the request that ctx belongs to, which
// kubectl prints and client-go gives to its warning handler. It is for
// [Config.AdmitPod], and for the Observe hooks of plugins and Requesters that are
// called for a request. A context of no request is ignored.
func Warn(ctx context.Context, text string) { warning.Add(ctx, text) }

// ServeHTTP answers one request of the API.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := &call{
		Handler: h, request: r, answer: &responseWriter{ResponseWriter: w},
		query: r.URL.Query(), pretty: pretty(r),
		out: Event{Method: r.Method, Path: r.URL.Path},
	}
	c.ctx = warning.With(r.Context(), c.warn)
	defer c.finish()
	if err := c.serve(); err != nil {
		c.refuse(err)
	}
}

// call is one request.
type call struct {
	*Handler
	request *http.Request
	answer  *responseWriter
	ctx     context.Context
	query   url.Values
	user    *tokens.Identity // nil for anonymous
	view    view.View
	pretty  bool // answers are indented
	hasBody bool // the body was read to its end
	out     Event

	warned   map[string]bool // texts that were sent as warnings
	warnings int             // how long they are together
}

// finish turns a panic into an answer, and tells the observer.
func (c *call) finish() {
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
		c.cfg.Observe(c.ctx, c.out)
	}
}

func (c *call) serve() error {
	if err := c.authenticate(); err != nil {
		return err
	}
	if err := unsupported(c.request); err != nil {
		return err
	}
	path := strings.TrimSuffix(c.request.URL.Path, "/")
	t, known := parseTarget(path)
	watching := known && t.name == "" && c.request.Method == http.MethodGet && isTrue(c.query, "watch")
	if !watching {
		cancel, err := c.limitTime()
		if err != nil {
			return err
		}
		defer cancel()
	}
	if !c.started.Load() {
		c.settle()
	}
	switch path {
	case discovery.ConfigPath, discovery.JWKSPath:
		if err := c.allow(http.MethodGet); err != nil {
			return err
		}
		c.authority.ServeHTTP(c.answer, c.request.WithContext(c.ctx))
		return nil
	case "/healthz", "/livez", "/readyz":
		c.sendText(http.StatusOK, api.Health(path[1:], c.query))
		return nil
	case "/healthz/ping", "/livez/ping", "/readyz/ping":
		c.sendText(http.StatusOK, "ok")
		return nil
	}
	if !api.Has(path) {
		c.out.Err = errNoSuchPath()
		c.sendText(http.StatusNotFound, "404 page not found\n")
		return nil
	}
	var ok bool
	if c.view, ok = view.Negotiate(c.request.Header.Values("Accept"), known && t.subresource != object.TokenSubresource, watching); !ok {
		return errNotAcceptable("only application/json is served, and for objects as=Table or as=PartialObjectMetadata of v=v1;g=meta.k8s.io")
	}
	if c.view.Table {
		if err := c.tableOptions(); err != nil {
			return err
		}
	}
	if document := api.Document(path, c.request.Host); document != nil {
		if err := c.allow(http.MethodGet); err != nil {
			return err
		}
		return c.sendJSON(http.StatusOK, document)
	}
	if resource, ok := strings.CutPrefix(path, "/apis/authentication.k8s.io/v1/"); ok {
		return c.review(resource)
	}
	if !known {
		return errNoSuchPath()
	}
	return c.dispatch(t)
}

// authenticate finds out who calls. Only a request that says nothing of its
// sender is anonymous.
func (c *call) authenticate() error {
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
	c.ctx = fake.WithActor(c.ctx, c.out.User)
	return nil
}

// settle lets the controllers work. What they report becomes a warning: the write that
// they were to follow up has happened. So it is settled although the client may go now.
func (c *call) settle() {
	defer c.started.Store(true)
	if err := c.cluster.Settle(context.WithoutCancel(c.ctx), c.cfg.Controllers...); err != nil {
		c.out.Settle = err
		c.warn(fmt.Sprintf("the controllers did not come to rest: %v", err))
	}
}

// now returns the time of the cluster, as precisely as objects can say it.
func (c *call) now() metav1.Time {
	return metav1.NewTime(c.authority.Now().Truncate(time.Second))
}

// of returns access to the objects of target's kind.
func (c *call) of(t target) *fake.Resource { return c.cluster.Resource(t.resource) }
