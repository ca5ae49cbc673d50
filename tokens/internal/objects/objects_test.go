package objects_test

import (
	"errors"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/internal/contract"
	"github.com/kubesa/serviceaccount/tokens/internal/objects"
)

// A nil without an error, typed or not, is a mistake of the getter.
func TestRequireIn(t *testing.T) {
	down := errors.New("down")
	tests := []struct {
		name   string
		object metav1.Object
		err    error
		want   error
	}{
		{"nil", nil, nil, contract.ErrNothing},
		{"typed nil", (*corev1.Pod)(nil), nil, contract.ErrNothing},
		{"typed nil of metadata", (*metav1.ObjectMeta)(nil), nil, contract.ErrNothing},
		{"error", (*corev1.Pod)(nil), down, down},
		{"error that is a nil pointer", &corev1.Pod{}, (*apierrors.StatusError)(nil), contract.ErrNothing},
		{"other namespace", &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "prod"}}, nil, objects.ErrOtherNamespace},
		{"namespace", &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ci"}}, nil, nil},
		{"no namespace", &corev1.Pod{}, nil, nil},
		{"no pointer", struct{ *metav1.ObjectMeta }{&metav1.ObjectMeta{Namespace: "ci"}}, nil, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			object, err := objects.RequireIn("ci", tt.object, tt.err)
			if err != tt.want || (object == nil) != (err != nil) {
				t.Errorf("RequireIn() = %v, %v, want the error %v", object, err, tt.want)
			}
		})
	}
}
