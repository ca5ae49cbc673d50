package webhook_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/kubesa/serviceaccount/admission"
	"github.com/kubesa/serviceaccount/admission/webhook"
)

// accounts looks ServiceAccounts up in a map.
type accounts map[string]*corev1.ServiceAccount

func (a accounts) GetServiceAccount(_ context.Context, namespace, name string) (*corev1.ServiceAccount, error) {
	if account, ok := a[namespace+"/"+name]; ok {
		return account, nil
	}
	return nil, apierrors.NewNotFound(schema.GroupResource{Resource: "serviceaccounts"}, name)
}

// The webhook is an http.Handler: here it answers a review as the API server sends
// it, and what is not a review.
func ExampleNew() {
	plugin, err := admission.New(admission.Config{
		ServiceAccounts: accounts{"shop/default": {ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "default"}}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	handler, err := webhook.New(plugin, webhook.Config{
		Observe: func(_ context.Context, e webhook.Event) {
			fmt.Println(e.HTTPStatus, e.Operation, e.Namespace, "allowed:", e.Allowed, "patched:", e.PatchBytes > 0)
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	const review = `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{
		"uid":"u1","operation":"CREATE","namespace":"shop",
		"kind":{"group":"","version":"v1","kind":"Pod"},"resource":{"group":"","version":"v1","resource":"pods"},
		"object":{"apiVersion":"v1","kind":"Pod","metadata":{"name":"web"},"spec":{"containers":[{"name":"app","image":"nginx"}]}}}}`
	for _, body := range []string{review, `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}`} {
		r := httptest.NewRequest(http.MethodPost, "/admit", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Code != http.StatusOK {
			fmt.Print(w.Body)
		}
	}

	// Output:
	// 200 CREATE shop allowed: true patched: true
	// 400   allowed: false patched: false
	// admission: bad AdmissionReview: the AdmissionReview has no request
}

// Every mistake is reported at once.
func ExampleNew_mistakes() {
	_, err := webhook.New(nil, webhook.Config{MaxBytes: -1})
	fmt.Println(err)

	// Output:
	// webhook: Config.plugin is required, want what admission.New returns
	// webhook: Config.MaxBytes is -1, want 0 for the default or a positive value
}
