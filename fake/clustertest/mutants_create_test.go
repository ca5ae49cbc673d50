package clustertest_test

import (
	"errors"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/kubesa/serviceaccount/fake"
)

func createMutants() []mutant {
	return []mutant{
		answering("no UIDs", func(_ call, o object) { o.SetUID("") }),
		answering("no resourceVersions", func(_ call, o object) { o.SetResourceVersion("") }),
		answering("no creationTimestamps", func(_ call, o object) { o.SetCreationTimestamp(metav1.Time{}) }),
		answering("creates return no labels", func(c call, o object) {
			if c.verb == "create" {
				o.SetLabels(nil)
			}
		}),
		plain("the caller's UID is kept", func(c call, do func(call) answer) answer {
			a := do(c)
			if c.verb == "create" && a.one != nil && c.sent.GetUID() != "" {
				a.one.SetUID(c.sent.GetUID())
			}
			return a
		}),
		plain("creates keep a deletionTimestamp", func(c call, do func(call) answer) answer {
			a := do(c)
			if c.verb == "create" && a.one != nil {
				a.one.SetDeletionTimestamp(c.sent.GetDeletionTimestamp())
			}
			return a
		}),
		sending("creates take a resourceVersion", "create", func(o object) { o.SetResourceVersion("") }),
		{"creates overwrite", func(c *fake.Cluster) via {
			return func(c call, do func(call) answer) answer {
				a := do(c)
				if secret, ok := c.sent.(*corev1.Secret); ok && c.verb == "create" && apierrors.IsAlreadyExists(a.err) {
					return answer{one: secret.DeepCopy()}
				}
				return a
			}
		}},
		failing("names in use are a Conflict", reason(metav1.StatusReasonAlreadyExists), func(c call, _ answer) answer {
			return answer{err: apierrors.NewConflict(schema.GroupResource{Resource: c.resource}, c.name, errors.New("in use"))}
		}),
		sending("one generated name for all", "create", func(o object) {
			if o.GetName() == "" && o.GetGenerateName() != "" && !strings.HasPrefix(o.GetGenerateName(), "clustertest-") {
				o.SetName(o.GetGenerateName() + "12345")
			}
		}),
		sending("generated names of any length", "create", func(o object) {
			if o.GetName() == "" && len(o.GetGenerateName()) > 58 {
				o.SetName(o.GetGenerateName() + "12345")
			}
		}),
		sending("generateName before name", "create", func(o object) {
			if o.GetGenerateName() != "" {
				o.SetName("")
			}
		}),
		failing("invalid creates are accepted", reason(metav1.StatusReasonInvalid, "create"), accepts),
		failing("invalid updates are accepted", reason(metav1.StatusReasonInvalid, "update"), accepts),
		failing("invalid patches are accepted", reason(metav1.StatusReasonInvalid, "patch"), accepts),
		failing("no causes", always, func(_ call, a answer) answer {
			var status *apierrors.StatusError
			if errors.As(a.err, &status) && status.ErrStatus.Details != nil {
				status.ErrStatus.Details.Causes = nil
			}
			return a
		}),
		failing("no details", always, func(_ call, a answer) answer {
			var status *apierrors.StatusError
			if errors.As(a.err, &status) {
				status.ErrStatus.Details = nil
			}
			return a
		}),
		answering("empty labels", func(_ call, o object) {
			if o.GetLabels() == nil {
				o.SetLabels(map[string]string{})
			}
		}),
		failing("errors without a status", always, func(_ call, a answer) answer {
			return answer{err: errors.New(a.err.Error())}
		}),
		plain("neither an answer nor an error", func(c call, do func(call) answer) answer {
			if c.verb == "get" {
				return answer{}
			}
			return do(c)
		}),
	}
}
