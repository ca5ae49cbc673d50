package furthervolume_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/kubesa/serviceaccount/admission/furthervolume"
	"github.com/kubesa/serviceaccount/admission/internal/admissiontest"
)

// hostiles make decisions about the volume of eks as costly as they can be: with lists of
// n elements, or texts of n words.
var hostiles = map[string]func(c *furtherCase, n int){
	"containers": func(c *furtherCase, n int) { c.pod.Spec.Containers = make([]corev1.Container, n) },
	"containers with long names": func(c *furtherCase, n int) {
		c.pod.Spec.Containers = make([]corev1.Container, n/100)
		for i := range c.pod.Spec.Containers {
			c.pod.Spec.Containers[i].Name = strings.Repeat("x", 10_000)
		}
	},
	"mounts": func(c *furtherCase, n int) { c.pod.Spec.Containers[0].VolumeMounts = make([]corev1.VolumeMount, n) },
	"mounts in a mess": func(c *furtherCase, n int) {
		c.pod.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{MountPath: strings.Repeat("/..//x/", n)}}
	},
	"variables": func(c *furtherCase, n int) { c.pod.Spec.Containers[0].Env = make([]corev1.EnvVar, n) },
	"volumes":   func(c *furtherCase, n int) { c.pod.Spec.Volumes = make([]corev1.Volume, n) },
	"sources": func(c *furtherCase, n int) {
		p := &corev1.ProjectedVolumeSource{Sources: make([]corev1.VolumeProjection, n)}
		p.Sources[0].ServiceAccountToken = &corev1.ServiceAccountTokenProjection{Audience: "sts.amazonaws.com", Path: "token"}
		c.pod.Spec.Volumes = []corev1.Volume{{Name: "aws-iam-token", VolumeSource: corev1.VolumeSource{Projected: p}}}
	},
	"skipped containers": func(c *furtherCase, n int) {
		for i := range n {
			c.pod.Annotations["eks.amazonaws.com/skip-containers"] += fmt.Sprint(i, ",")
		}
	},
}

// A decision takes steps and memory that are linear in the size of the pod: each
// container costs as much as what the volume adds to it.
func TestDecisionsAreLinear(t *testing.T) {
	// A15
	volume, fewest := eks(), 600
	for name, hostile := range hostiles {
		t.Run(name, func(t *testing.T) {
			measure := func(n int) (size, steps, allocated float64) {
				c := newFurtherCase()
				hostile(c, n)
				data, err := json.Marshal(c.pod)
				if err != nil {
					t.Fatal(err)
				}
				counted, err := furthervolume.Steps(&volume, c.pod, c.account)
				if most := len(data) * (1 + len(volume.Env)); err != nil || counted > most || counted < n/100 {
					t.Fatalf("%d steps for %d bytes (%v), want at most %d", counted, len(data), err, most)
				}
				return float64(len(data)), float64(counted), float64(admissiontest.AllocatedBy(func() { _, err = volume.Decide(t.Context(), c.pod, c.account) }))
			}
			size, steps, allocated := measure(fewest)
			size4, steps4, allocated4 := measure(4 * fewest)
			if steps4/steps > 1.2*size4/size {
				t.Errorf("%v steps for %v bytes and %v for %v", steps, size, steps4, size4)
			}
			if allocated4 > 2*size4/size*allocated+64<<10 {
				t.Errorf("%v bytes of memory for %v of the pod and %v for %v", allocated, size, allocated4, size4)
			}
			if names := strings.HasSuffix(name, "long names"); names && allocated4 > size4 {
				t.Errorf("%v bytes of memory for %v of names: each is copied", allocated4, size4)
			}
		})
	}
}

// A decision that takes long ends with its context.
func TestLongDecisionsEndInTime(t *testing.T) {
	volume := eks()
	for name, hostile := range hostiles {
		c := newFurtherCase()
		hostile(c, 1100)
		all := &admissiontest.EndingContext{Context: t.Context(), Until: 1 << 30}
		if _, err := volume.Decide(all, c.pod, c.account); err != nil || all.Looks == 0 && !strings.HasSuffix(name, "long names") {
			t.Errorf("%s: Decide() = %v after %d looks", name, err, all.Looks)
		}
		for until := range all.Looks {
			if _, err := volume.Decide(&admissiontest.EndingContext{Context: t.Context(), Until: until}, c.pod, c.account); !apierrors.IsTimeout(err) {
				t.Errorf("%s: Decide() = %v after %d looks, want a timeout", name, err, until)
			}
		}
	}
}
