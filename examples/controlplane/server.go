package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// serve adds the routes of a kind below at; add creates an object.
func serve[T any, P object[T]](mux *http.ServeMux, s *store, at string, add func(context.Context, P) (P, error)) {
	answer(mux, "POST "+at, func(r *http.Request, sent *T) (any, error) {
		o, namespace := P(sent), r.PathValue("namespace")
		kind := cmp.Or(o.GetObjectKind().GroupVersionKind().Kind, kindOf[T]())
		if kind != kindOf[T]() || cmp.Or(o.GetNamespace(), namespace) != namespace || o.GetResourceVersion() != "" {
			return nil, apierrors.NewBadRequest("want the kind and the namespace of the path, and no resourceVersion")
		}
		o.SetNamespace(namespace)
		return add(r.Context(), o)
	})
	answer(mux, "GET "+at, func(r *http.Request, _ *struct{}) (any, error) {
		found, err := list[T, P](r.Context(), s, key(r.PathValue("namespace"), ""))
		return map[string]any{"apiVersion": "v1", "kind": kindOf[T]() + "List", "items": append([]P{}, found...)}, err
	})
	answer(mux, "GET "+at+"/{name}", func(r *http.Request, _ *struct{}) (any, error) {
		return get[T, P](r.Context(), s, r.PathValue("namespace"), r.PathValue("name"))
	})
	answer(mux, "DELETE "+at+"/{name}", func(r *http.Request, opts *metav1.DeleteOptions) (any, error) {
		if len(opts.DryRun) > 0 {
			return nil, apierrors.NewBadRequest("there are no dry runs")
		}
		err := remove[T, P](r.Context(), s, r.PathValue("namespace"), r.PathValue("name"), opts.Preconditions)
		return metav1.Status{Status: metav1.StatusSuccess}, err
	})
}

// answer serves pattern with f, which gets the body. An error of f is an API status, or an
// internal error.
func answer[T any](mux *http.ServeMux, pattern string, f func(r *http.Request, body *T) (any, error)) {
	mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		body, out, code := new(T), any(nil), http.StatusOK
		if r.Method == http.MethodPost {
			code = http.StatusCreated
		}
		data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 3<<20))
		if err == nil && len(data) > 0 {
			err = json.Unmarshal(data, body)
		}
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			err = apierrors.NewRequestEntityTooLargeError("the limit is 3 MiB")
		} else if err != nil || r.URL.RawQuery != "" {
			err = apierrors.NewBadRequest("want a JSON body and no parameters")
		} else {
			out, err = f(r, body)
		}
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
		_ = json.NewEncoder(w).Encode(out) // the client may be gone
	})
}
