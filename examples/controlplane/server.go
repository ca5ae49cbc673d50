package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"

	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/admission"
	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/tokens"
)

// routes is the API. It asks nobody who they are: authentication and authorization go in front.
func (p *plane) routes() http.Handler {
	mux, namespaced := http.NewServeMux(), "/api/v1/namespaces/{namespace}/"
	serve(mux, p.store, "/api/v1/namespaces", p.createNamespace)
	serve(mux, p.store, namespaced+"serviceaccounts", p.store.CreateServiceAccount)
	serve(mux, p.store, namespaced+"secrets", p.store.CreateSecret)
	serve(mux, p.store, namespaced+"pods", p.createPod)
	mux.Handle("POST "+namespaced+"serviceaccounts/{name}/token",
		answer(http.StatusCreated, func(r *http.Request, request *authenticationv1.TokenRequest) (any, error) {
			return p.requester.Create(r.Context(), r.PathValue("namespace"), r.PathValue("name"), request)
		}))
	mux.Handle("/apis/authentication.k8s.io/v1/tokenreviews", tokens.NewReviewHandler(p.authenticator, tokens.ReviewHandlerConfig{}))
	mux.Handle(keys.ConfigPath, p.discovery)
	mux.Handle(keys.JWKSPath, p.discovery)
	mux.Handle("GET /whoami", answer(http.StatusOK, p.whoami))
	return mux
}

// serve adds the routes of a kind. make is how an object is created.
func serve[T any, P object[T]](mux *http.ServeMux, s *store, at string, make func(context.Context, P) (P, error)) {
	mux.Handle("POST "+at, answer(http.StatusCreated, func(r *http.Request, sent *T) (any, error) {
		o, namespace := P(sent), r.PathValue("namespace")
		if o.GetNamespace() != "" && o.GetNamespace() != namespace || o.GetResourceVersion() != "" {
			return nil, apierrors.NewBadRequest("the object has a resourceVersion, or another namespace than the path")
		}
		o.SetNamespace(namespace)
		return make(r.Context(), o)
	}))
	mux.Handle("GET "+at, answer(http.StatusOK, func(r *http.Request, _ *struct{}) (any, error) {
		found, err := list[T, P](r.Context(), s, r.PathValue("namespace"))
		return map[string]any{"apiVersion": "v1", "kind": kindOf[T]() + "List", "items": append([]P{}, found...)}, err
	}))
	mux.Handle("GET "+at+"/{name}", answer(http.StatusOK, func(r *http.Request, _ *struct{}) (any, error) {
		return get[T, P](r.Context(), s, r.PathValue("namespace"), r.PathValue("name"))
	}))
	mux.Handle("DELETE "+at+"/{name}", answer(http.StatusOK, func(r *http.Request, opts *metav1.DeleteOptions) (any, error) {
		return metav1.Status{Status: metav1.StatusSuccess}, remove[T, P](r.Context(), s, r.PathValue("namespace"), r.PathValue("name"), *opts)
	}))
}

// answer makes a handler of f, which gets the body of the request. The errors of f are those of the
// Kubernetes API, or the server's own fault.
func answer[T any](code int, f func(r *http.Request, body *T) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		out, err := decoded(w, r, f)
		if err != nil {
			var known apierrors.APIStatus
			if !errors.As(err, &known) {
				slog.Error("request", "method", r.Method, "path", r.URL.Path, "err", err)
				known = apierrors.NewInternalError(errors.New("the log says why"))
			}
			status := known.Status()
			status.Kind, status.APIVersion = "Status", "v1"
			code, out = int(status.Code), status
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		_ = json.NewEncoder(w).Encode(out) // a client that is gone is told nothing
	}
}

// decoded calls f with the body, which may be empty.
func decoded[T any](w http.ResponseWriter, r *http.Request, f func(r *http.Request, body *T) (any, error)) (any, error) {
	body := new(T)
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 3<<20))
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, apierrors.NewRequestEntityTooLargeError("the limit is 3 MiB")
	}
	if err == nil && len(data) > 0 {
		err = json.Unmarshal(data, body)
	}
	if err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	return f(r, body)
}

func (p *plane) createNamespace(ctx context.Context, sent *corev1.Namespace) (*corev1.Namespace, error) {
	sent.Status.Phase = corev1.NamespaceActive
	o, err := create(ctx, p.store, sent)
	if err == nil {
		err = p.accounts.Ensure(context.WithoutCancel(ctx), o.Name) // the next request may be for a pod
	}
	return o, err
}

func (p *plane) createPod(ctx context.Context, o *corev1.Pod) (*corev1.Pod, error) {
	err := p.plugin.Admit(ctx, admission.Request{Operation: admissionv1.Create, Namespace: o.Namespace, Name: o.Name, Pod: o})
	if err != nil {
		return nil, err
	}
	return create(ctx, p.store, o)
}

func (p *plane) whoami(r *http.Request, _ *struct{}) (any, error) {
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	id, err := p.authenticator.Authenticate(r.Context(), token)
	if _, unavailable := errors.AsType[*tokens.UnavailableError](err); unavailable {
		return nil, err
	}
	if err != nil {
		return nil, apierrors.NewUnauthorized(err.Error())
	}
	return id.UserInfo(), nil
}
