package clustertest_test

import (
	"errors"
	"maps"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/kubesa/serviceaccount/fake"
)

func updateMutants() []mutant {
	return []mutant{
		sending("updates never conflict", "update", func(o object) { o.SetResourceVersion("") }),
		sending("updates don't look at the UID", "update", func(o object) { o.SetUID("") }),
		plain("updates need a resourceVersion", func(c call, do func(call) answer) answer {
			if c.verb == "update" && (c.sent.GetResourceVersion() == "" || c.sent.GetResourceVersion() == "0") {
				return answer{err: apierrors.NewConflict(schema.GroupResource{Resource: c.resource}, c.name, errors.New("no resourceVersion"))}
			}
			return do(c)
		}),
		{"updates create", func(cluster *fake.Cluster) via {
			return func(c call, do func(call) answer) answer {
				a := do(c)
				if secret, ok := c.sent.(*corev1.Secret); ok && c.verb == "update" && apierrors.IsNotFound(a.err) {
					return answerOf(cluster.CreateSecret(c.ctx, secret))
				}
				return a
			}
		}},
		plain("updates return what was sent", func(c call, do func(call) answer) answer {
			a := do(c)
			if c.verb == "update" && a.err == nil {
				a.one = copyOf(c.sent)
			}
			return a
		}),
		{"updates that change nothing are written", func(cluster *fake.Cluster) via {
			return func(c call, do func(call) answer) answer {
				if secret, ok := c.sent.(*corev1.Secret); ok && c.verb == "update" {
					if old, err := cluster.GetSecret(c.ctx, c.namespace, c.name); err == nil && old.ResourceVersion == secret.ResourceVersion && old.DeletionTimestamp == nil {
						touched := old.DeepCopy()
						touched.Finalizers = append(touched.Finalizers, "example.com/touched")
						if _, err := cluster.UpdateSecret(c.ctx, touched); err == nil {
							old.ResourceVersion = ""
							if old, err = cluster.UpdateSecret(c.ctx, old); err == nil {
								secret = secret.DeepCopy()
								secret.ResourceVersion = old.ResourceVersion
								c.sent = secret
							}
						}
					}
				}
				return do(c)
			}
		}},
		{"updates merge labels", func(cluster *fake.Cluster) via {
			return func(c call, do func(call) answer) answer {
				if secret, ok := c.sent.(*corev1.Secret); ok && c.verb == "update" {
					if old, err := cluster.GetSecret(c.ctx, c.namespace, c.name); err == nil && old.Labels != nil {
						secret = secret.DeepCopy()
						labels := maps.Clone(old.Labels)
						maps.Copy(labels, secret.Labels)
						secret.Labels = labels
						c.sent = secret
					}
				}
				return do(c)
			}
		}},
		sending("updates that begin a deletion are accepted", "update", func(o object) {
			if o.GetDeletionTimestamp() == nil || len(o.GetFinalizers()) == 0 {
				o.SetDeletionTimestamp(nil)
				o.SetDeletionGracePeriodSeconds(nil)
			}
		}),
		plain("updates keep the creationTimestamp that was sent", func(c call, do func(call) answer) answer {
			a := do(c)
			if c.verb == "update" && a.err == nil {
				a.one.SetCreationTimestamp(c.sent.GetCreationTimestamp())
			}
			return a
		}),
	}
}

func deleteMutants() []mutant {
	return []mutant{
		failing("deletes of nothing succeed", reason(metav1.StatusReasonNotFound, "delete"), func(call, answer) answer { return answer{} }),
		plain("deletes don't look at the UID", func(c call, do func(call) answer) answer {
			if c.opts.Preconditions != nil {
				c.opts.Preconditions = &metav1.Preconditions{ResourceVersion: c.opts.Preconditions.ResourceVersion}
			}
			return do(c)
		}),
		plain("deletes don't look at the resourceVersion", func(c call, do func(call) answer) answer {
			if c.opts.Preconditions != nil {
				c.opts.Preconditions = &metav1.Preconditions{UID: c.opts.Preconditions.UID}
			}
			return do(c)
		}),
		plain("dry runs delete", func(c call, do func(call) answer) answer {
			c.opts.DryRun = nil
			return do(c)
		}),
		plain("deletes do nothing", func(c call, do func(call) answer) answer {
			if c.verb == "delete" && c.resource == "secrets" {
				return answer{}
			}
			return do(c)
		}),
		sending("finalizers are not kept", "create", func(o object) {
			if len(o.GetFinalizers()) > 0 && !strings.Contains(o.GetFinalizers()[0], "mine") {
				o.SetFinalizers(nil)
			}
		}),
		plain("updates take a deletion back", func(c call, do func(call) answer) answer {
			a := do(c)
			if c.verb == "update" && a.err == nil {
				a.one.SetDeletionTimestamp(c.sent.GetDeletionTimestamp())
			}
			return a
		}),
		plain("running pods go at once", func(c call, do func(call) answer) answer {
			if c.resource == "pods" {
				c.opts.GracePeriodSeconds = new(int64)
			}
			return do(c)
		}),
		plain("pods that don't run stay", func(c call, do func(call) answer) answer {
			if c.resource == "pods" && c.verb == "delete" && c.opts.GracePeriodSeconds == nil && c.opts.DryRun == nil {
				c.opts.DryRun = []string{metav1.DryRunAll}
			}
			return do(c)
		}),
	}
}
