package podrules_test

import (
	"context"
	"fmt"
	"path"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/kubesa/serviceaccount/admission/internal/budget"
	"github.com/kubesa/serviceaccount/admission/internal/podrules"
)

func TestIsLifetime(t *testing.T) {
	// ADM-230
	for d, want := range map[time.Duration]bool{
		0: false, -time.Hour: false, 599 * time.Second: false, 600 * time.Second: true, 600*time.Second + 1: false,
		(1 << 32) * time.Second: true, (1<<32 + 1) * time.Second: false,
	} {
		if got := podrules.IsLifetime(d); got != want {
			t.Errorf("IsLifetime(%v) = %v, want %v", d, got, want)
		}
	}
}

func TestIsMountPath(t *testing.T) {
	for p, want := range map[string]bool{"": false, "/": false, "x": false, "/x": true, "/x/": false, "/x/../y": false, "/x:y": false, "/x/y": true} {
		if got := podrules.IsMountPath(p); got != want {
			t.Errorf("IsMountPath(%q) = %v, want %v", p, got, want)
		}
	}
}

func TestAnnotation(t *testing.T) {
	annotations := map[string]string{"": "nothing", "a": "b"}
	if got := podrules.Annotation(annotations, "") + podrules.Annotation(annotations, "a") + podrules.Annotation(nil, "a"); got != "b" {
		t.Errorf("got %q, want b alone", got)
	}
}

// spec has the containers a, b and c, and mounts at /x/ and /y.
var spec = &corev1.PodSpec{InitContainers: []corev1.Container{{Name: "a"}}, Containers: []corev1.Container{
	{Name: "b", VolumeMounts: []corev1.VolumeMount{{MountPath: "/x/"}, {MountPath: "/y"}}}, {Name: "c"},
}}

func TestListed(t *testing.T) {
	for _, tt := range []struct{ list, separator, want string }{
		{"", ",", "map[]"}, {"a", ",", "map[a:true b:false c:false]"}, {" a ,c,d", ",", "map[a:true b:false c:true]"}, {"a;b,c", ";", "map[a:true b:false c:false]"},
	} {
		got, err := podrules.Listed(new(budget.Budget), spec, tt.list, tt.separator)
		if err != nil || fmt.Sprint(got) != tt.want {
			t.Errorf("Listed(%q) = %v, %v, want %s", tt.list, got, err, tt.want)
		}
	}
}

func TestMountAt(t *testing.T) {
	for _, tt := range []struct {
		path  string
		clean bool
		want  bool
	}{{"/x", false, false}, {"/x", true, true}, {"/y", false, true}, {"/y", true, true}, {"/z", true, false}} {
		if got, err := podrules.MountAt(new(budget.Budget), &spec.Containers[0], tt.path, tt.clean); err != nil || (got != nil) != tt.want || got != nil && path.Clean(got.MountPath) != tt.path {
			t.Errorf("MountAt(%q, %v) = %v, %v, want %v", tt.path, tt.clean, got, err, tt.want)
		}
	}
}

// All of it ends with the context.
func TestTimeIsOver(t *testing.T) {
	over, cancel := context.WithCancel(t.Context())
	cancel()
	many := &corev1.Container{VolumeMounts: make([]corev1.VolumeMount, 1023)}
	long := &corev1.Container{VolumeMounts: []corev1.VolumeMount{{MountPath: fmt.Sprintf("/%1023d", 0)}}}
	for name, err := range map[string]error{
		"Listed":         errorOf(podrules.Listed(&budget.Budget{Context: over}, spec, fmt.Sprintf("%1024d", 0), ",")),
		"MountAt":        errorOf(podrules.MountAt(&budget.Budget{Context: over}, many, "/x", false)),
		"of a long path": errorOf(podrules.MountAt(&budget.Budget{Context: over}, long, "/x", true)),
	} {
		if seconds, ok := apierrors.SuggestsClientDelay(err); !apierrors.IsTimeout(err) || !ok || seconds != 1 {
			t.Errorf("%s: %v, want a retryable timeout", name, err)
		}
	}
}

func errorOf[T any](_ T, err error) error { return err }
