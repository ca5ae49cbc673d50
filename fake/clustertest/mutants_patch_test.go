package clustertest_test

import (
	"errors"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubesa/serviceaccount/fake"
)

func patchMutants() []mutant {
	swap := func(name string, from, to types.PatchType) mutant {
		return plain(name, func(c call, do func(call) answer) answer {
			if c.patchType == from {
				c.patchType = to
			}
			return do(c)
		})
	}
	rewrite := func(name, old, new string) mutant {
		return plain(name, func(c call, do func(call) answer) answer {
			c.patch = []byte(strings.ReplaceAll(string(c.patch), old, new))
			return do(c)
		})
	}
	return []mutant{
		swap("merge patches merge lists", types.MergePatchType, types.StrategicMergePatchType),
		swap("strategic patches replace lists", types.StrategicMergePatchType, types.MergePatchType),
		swap("any media type is a merge patch", "application/json", types.MergePatchType),
		rewrite("JSON patches test nothing", `"op":"test"`, `"op":"add"`),
		rewrite("JSON patches can't copy", `"op":"copy"`, `"op":"duplicate"`),
		rewrite("merge patches don't remove", `null`, `"null"`),
		rewrite("patches don't look at the resourceVersion", `"resourceVersion":`, `"selfLink":`),
		rewrite("patches don't look at the UID", `"uid":`, `"selfLink":`),
		rewrite("patches don't look at the name", `"name":"t"`, `"labels":{}`),
		rewrite("patches begin deletions without an error", `"deletion`, `"nothing`),
		failing("bad patches are Invalid", reason(metav1.StatusReasonBadRequest, "patch"), func(c call, a answer) answer {
			return answer{err: apierrors.NewInvalid(schema.GroupKind{Kind: "Secret"}, c.name, nil)}
		}),
		failing("patches of nothing are accepted", reason(metav1.StatusReasonNotFound, "patch"), accepts),
		{"patches that change nothing are written", func(cluster *fake.Cluster) via {
			return func(c call, do func(call) answer) answer {
				a := do(c)
				if secret, ok := a.one.(*corev1.Secret); ok && c.verb == "patch" {
					secret.ResourceVersion += "1"
				}
				return a
			}
		}},
		{"patches conflict with each other", func(cluster *fake.Cluster) via {
			var mu sync.Mutex
			running := 0
			return func(c call, do func(call) answer) answer {
				if c.verb != "patch" || !strings.Contains(string(c.patch), "racer") {
					return do(c)
				}
				mu.Lock()
				running++
				late := running > 1
				mu.Unlock()
				if late {
					return answer{err: apierrors.NewConflict(schema.GroupResource{Resource: c.resource}, c.name, errors.New("changed"))}
				}
				return do(c)
			}
		}},
	}
}
