package clustertest_test

import (
	"context"
	"errors"
	"maps"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/kubesa/serviceaccount/fake"
)

func otherMutants() []mutant {
	secrets := func(name string, change func(s *corev1.Secret)) mutant {
		return answering(name, func(_ call, o object) {
			if s, ok := o.(*corev1.Secret); ok {
				change(s)
			}
		})
	}
	pods := func(name string, change func(p *corev1.Pod)) mutant {
		return answering(name, func(_ call, o object) {
			if p, ok := o.(*corev1.Pod); ok {
				change(p)
			}
		})
	}
	return []mutant{
		answering("new namespaces have no label", func(_ call, o object) {
			if ns, ok := o.(*corev1.Namespace); ok {
				delete(ns.Labels, corev1.LabelMetadataName)
			}
		}),
		{"creates make the namespace", func(cluster *fake.Cluster) via {
			return func(c call, do func(call) answer) answer {
				if c.verb == "create" && c.namespace != "" {
					_, _ = cluster.CreateNamespace(c.ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: c.namespace}})
				}
				return do(c)
			}
		}},
		failing("creates in a namespace that goes are a Conflict", reason(metav1.StatusReasonForbidden, "create"), func(c call, _ answer) answer {
			return answer{err: apierrors.NewConflict(schema.GroupResource{Resource: c.resource}, c.name, errors.New("it goes"))}
		}),
		{"updates in a namespace that goes are Forbidden", func(cluster *fake.Cluster) via {
			return func(c call, do func(call) answer) answer {
				if ns, err := cluster.GetNamespace(c.ctx, c.namespace); err == nil && c.verb == "update" && ns.DeletionTimestamp != nil {
					return answer{err: apierrors.NewForbidden(schema.GroupResource{Resource: c.resource}, c.name, errors.New("it goes"))}
				}
				return do(c)
			}
		}},
		plain("token Secrets need a UID", func(c call, do func(call) answer) answer {
			if s, ok := c.sent.(*corev1.Secret); ok && s.Annotations[corev1.ServiceAccountNameKey] == "nobody" {
				return answer{err: apierrors.NewInvalid(schema.GroupKind{Kind: "Secret"}, c.name, nil)}
			}
			return do(c)
		}),
		secrets("Secrets without a type", func(s *corev1.Secret) {
			if s.Type == corev1.SecretTypeOpaque {
				s.Type = ""
			}
		}),
		secrets("empty values are lost", func(s *corev1.Secret) {
			maps.DeleteFunc(s.Data, func(_ string, v []byte) bool { return len(v) == 0 })
		}),
		answering("references are not reduced", func(_ call, o object) {
			if a, ok := o.(*corev1.ServiceAccount); ok && len(a.Secrets) > 0 {
				a.Secrets[0].Kind = "Secret"
			}
		}),
		pods("pods without the alias", func(p *corev1.Pod) { p.Spec.DeprecatedServiceAccount = "" }),
		pods("pods without a phase", func(p *corev1.Pod) { p.Status.Phase = "" }),
		pods("pods without defaults of projected tokens", func(p *corev1.Pod) {
			for _, v := range p.Spec.Volumes {
				v.Projected.Sources[0].ServiceAccountToken.ExpirationSeconds = nil
			}
		}),
		plain("arguments are changed", func(c call, do func(call) answer) answer {
			a := do(c)
			if c.sent != nil && a.err == nil {
				c.sent.SetResourceVersion(a.one.GetResourceVersion())
			}
			return a
		}),
		{"arguments are kept", func(*fake.Cluster) via {
			kept := map[string]object{}
			var mu sync.Mutex
			return func(c call, do func(call) answer) answer {
				a := do(c)
				mu.Lock()
				defer mu.Unlock()
				key := c.resource + c.namespace + "/" + c.name
				if (c.verb == "create" || c.verb == "update") && a.err == nil {
					kept[key] = c.sent
				}
				if account, ok := kept[key].(*corev1.ServiceAccount); ok && c.verb == "get" && a.err == nil {
					a.one.(*corev1.ServiceAccount).Secrets = account.Secrets
				}
				return a
			}
		}},
		{"results are shared", func(*fake.Cluster) via {
			shared := map[string]object{}
			var mu sync.Mutex
			return func(c call, do func(call) answer) answer {
				a := do(c)
				mu.Lock()
				defer mu.Unlock()
				if a.err == nil && a.one != nil {
					key := string(a.one.GetUID()) + a.one.GetResourceVersion()
					if shared[key] == nil {
						shared[key] = a.one
					}
					a.one = shared[key]
				}
				return a
			}
		}},
		plain("contexts are ignored", func(c call, do func(call) answer) answer {
			c.ctx = context.WithoutCancel(c.ctx)
			return do(c)
		}),
		plain("contexts that are done are a timeout of the server", func(c call, do func(call) answer) answer {
			if c.ctx.Err() != nil {
				return answer{err: apierrors.NewTimeoutError("too late", 1)}
			}
			return do(c)
		}),
		plain("calls with a context that is done are written all the same", func(c call, do func(call) answer) answer {
			if err := c.ctx.Err(); err != nil && isWrite(c) {
				c.ctx = context.WithoutCancel(c.ctx)
				_ = do(c)
				return answer{err: err}
			}
			return do(c)
		}),
		failing("deletes race", reason(metav1.StatusReasonNotFound, "delete"), func(c call, a answer) answer {
			if c.opts.Preconditions != nil {
				return answer{}
			}
			return a
		}),
	}
}
