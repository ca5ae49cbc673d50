package clustertest_test

import (
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubesa/serviceaccount/fake"
)

func readMutants() []mutant {
	return []mutant{
		failing("gets of nothing find nothing without an error", reason(metav1.StatusReasonNotFound, "get"), func(c call, _ answer) answer { return answer{} }),
		failing("gets in no namespace miss the namespace", reason(metav1.StatusReasonNotFound, "get"), func(c call, a answer) answer {
			if c.namespace == "clustertest-nowhere" {
				return answer{err: apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, c.namespace)}
			}
			return a
		}),
		plain("lists of all namespaces", func(c call, do func(call) answer) answer {
			if c.verb == "list" && c.resource != "tokens" {
				c.namespace = ""
			}
			return do(c)
		}),
		plain("lists in the wrong order", func(c call, do func(call) answer) answer {
			a := do(c)
			slices.Reverse(a.found)
			return a
		}),
		plain("lists of nothing are NotFound", func(c call, do func(call) answer) answer {
			a := do(c)
			if c.verb == "list" && len(a.found) == 0 {
				a.err = apierrors.NewNotFound(schema.GroupResource{Resource: c.resource}, "")
			}
			return a
		}),
		{"lists from a cache that is never refreshed", func(*fake.Cluster) via {
			cache := map[string]answer{}
			return func(c call, do func(call) answer) answer {
				if c.verb != "list" {
					return do(c)
				}
				key := c.resource + " " + c.namespace + "/" + c.name
				if _, ok := cache[key]; !ok {
					cache[key] = do(c)
				}
				return cache[key]
			}
		}},
		{"token Secrets are all Secrets with the annotation", func(cluster *fake.Cluster) via {
			return func(c call, do func(call) answer) answer {
				if c.resource != "tokens" {
					return do(c)
				}
				list, err := cluster.ListSecrets(c.ctx, c.namespace)
				a := answer{err: err}
				for _, s := range list {
					if s.Annotations[corev1.ServiceAccountNameKey] == c.name {
						a.found = append(a.found, s)
					}
				}
				return a
			}
		}},
		{"token Secrets by the account at their creation", func(cluster *fake.Cluster) via {
			accounts := map[types.UID]string{}
			var mu sync.Mutex
			return func(c call, do func(call) answer) answer {
				a := do(c)
				mu.Lock()
				defer mu.Unlock()
				if s, ok := a.one.(*corev1.Secret); ok && c.verb == "create" {
					accounts[s.UID] = s.Annotations[corev1.ServiceAccountNameKey]
				}
				if c.resource == "tokens" && a.err == nil {
					a.found = nil
					list, err := cluster.ListSecrets(c.ctx, c.namespace)
					a.err = err
					for _, s := range list {
						if accounts[s.UID] == c.name && s.Type == corev1.SecretTypeServiceAccountToken {
							a.found = append(a.found, s)
						}
					}
				}
				return a
			}
		}},
	}
}
