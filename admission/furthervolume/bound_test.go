package furthervolume_test

import (
	"encoding/json"
	"errors"
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
	volumes, fewest := []furthervolume.Volume{eks()}, 600
	for name, hostile := range hostiles {
		t.Run(name, func(t *testing.T) {
			measure := func(n int) (size, steps, allocated float64) {
				c := newFurtherCase()
				hostile(c, n)
				data, err := json.Marshal(c.pod)
				if err != nil {
					t.Fatal(err)
				}
				counted, err := furthervolume.Steps(volumes, c.pod, c.account)
				if most := len(data) * (1 + len(volumes[0].Env)); err != nil || counted > most || counted < n/100 {
					t.Fatalf("%d steps for %d bytes (%v), want at most %d", counted, len(data), err, most)
				}
				var edits []furthervolume.Edit
				allocatedBytes := admissiontest.AllocatedBy(func() { edits, err = furthervolume.Decide(t.Context(), volumes, c.pod, c.account) })
				if err != nil || counted < len(edits) {
					t.Errorf("%d steps for %d edits (%v), want at least one for each", counted, len(edits), err)
				}
				return float64(len(data)), float64(counted), float64(allocatedBytes)
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
	volumes := []furthervolume.Volume{eks()}
	for name, hostile := range hostiles {
		c := newFurtherCase()
		hostile(c, 1100)
		all := &admissiontest.EndingContext{Context: t.Context(), Until: 1 << 30}
		if _, err := furthervolume.Decide(all, volumes, c.pod, c.account); err != nil || all.Looks == 0 && !strings.HasSuffix(name, "long names") {
			t.Errorf("%s: Decide() = %v after %d looks", name, err, all.Looks)
		}
		for until := range all.Looks {
			if _, err := furthervolume.Decide(&admissiontest.EndingContext{Context: t.Context(), Until: until}, volumes, c.pod, c.account); !apierrors.IsTimeout(err) {
				t.Errorf("%s: Decide() = %v after %d looks, want a timeout", name, err, until)
			}
		}
	}
}

// What is added to a pod is bounded, to the byte: a long annotation of a pod or an account
// times many containers.
func TestAdditionsAreBounded(t *testing.T) {
	const (
		most = 3 << 20
		edit = 64 // each counts, also one that adds nothing
		one  = edit + len("a") + edit + len("v/v") + edit + len("X")
	)
	skips := func(c *furtherCase) {
		c.pod.Annotations["skip"] = "s"
		for i := range c.pod.Spec.Containers {
			c.pod.Spec.Containers[i].Name = "s"
		}
	}
	unwanted := func(c *furtherCase) {
		c.cfg = append(c.cfg, furthervolume.Volume{Name: "w", When: furthervolume.Condition{PodLabel: "w"}})
	}
	there := func(c *furtherCase) {
		c.cfg[0].Env = append(c.cfg[0].Env, furthervolume.EnvVar{Name: "Y", Value: "y"})
		c.pod.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "Y"}}
	}
	skipped := func(c *furtherCase) {
		c.pod.Annotations["skip"] = "s"
		c.pod.Spec.InitContainers = []corev1.Container{{Name: "s"}}
	}
	plain := func(c *furtherCase) { c.cfg[0].Env = nil }
	audience := func(c *furtherCase) { c.account.Annotations["audience"] = strings.Repeat("x", most) }
	for _, tt := range []struct {
		containers, bytes int
		denied            bool
		change            func(*furtherCase)
	}{
		{1000, 3000, false, nil}, {1000, 3200, true, nil}, {20_000, 1, false, nil}, {30_000, 1, true, nil},
		{1, most - one, false, nil}, {1, most - one + 1, true, nil},
		{1, most - one - edit, false, unwanted}, {1, most - one - edit + 1, true, unwanted},
		{1, most - one - edit, false, there}, {1, most - one - edit + 1, true, there},
		{1, most - one - edit, false, skipped}, {1, most - one - edit + 1, true, skipped},
		{40_000, 1, false, skips}, {50_000, 1, true, skips},
		{40_000, 1, false, plain}, {50_000, 1, true, plain},
		{0, 1, true, audience}, {1, 1, true, audience},
	} {
		c := newFurtherCase()
		c.pod.Spec.InitContainers, c.pod.Spec.Containers = nil, make([]corev1.Container, tt.containers)
		c.pod.Annotations["x"] = strings.Repeat("x", tt.bytes)
		c.cfg = []furthervolume.Volume{{Name: "v", Audience: "a", AccountAudience: "audience", MountPath: "/v", SkipContainers: "skip", Env: []furthervolume.EnvVar{{Name: "X", PodAnnotation: "x"}}}}
		if tt.change != nil {
			tt.change(c)
		}
		_, err := furthervolume.Decide(t.Context(), c.cfg, c.pod, c.account)
		if _, denied := errors.AsType[*furthervolume.DenialError](err); denied != tt.denied || !denied && err != nil || denied && err.Error() != "furthervolume: what is added to the pod is longer than 3145728 bytes" {
			t.Errorf("%d containers with %d bytes: %v", tt.containers, tt.bytes, err)
		}
	}
}
