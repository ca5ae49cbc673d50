package compat

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// With the rights of its manifests the manager does all that it is there for and nothing is
// forbidden; without any one of the rules, but that for Events, something is. That no rule has a verb too many is
// what the tests of sacontroller/manager count.
func TestManagerRights(t *testing.T) {
	m := newManagedCluster(t, 1)
	proxy := newForbiddenProxy(t, m.proxy.url)
	rbac, core := m.client.RbacV1(), m.client.CoreV1()
	ctx := t.Context()
	must(core.Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}}, metav1.CreateOptions{}))
	bundles := m.client.CertificatesV1().ClusterTrustBundles()
	_, err := bundles.List(ctx, metav1.ListOptions{})
	trust := err == nil // else the API server has none
	// run runs a manager until enough returns nothing, in a cluster in which it has to do
	// everything anew.
	run := func(name string, enough func(context.Context) []string) {
		t.Helper()
		for _, err := range []error{
			core.ServiceAccounts("shop").Delete(ctx, "default", metav1.DeleteOptions{}),
			core.ConfigMaps("shop").Delete(ctx, "kube-root-ca.crt", metav1.DeleteOptions{}),
			m.client.CoordinationV1().Leases("kube-system").Delete(ctx, "serviceaccount-manager", metav1.DeleteOptions{}),
		} {
			if err != nil && !apierrors.IsNotFound(err) {
				t.Fatal(err)
			}
		}
		if trust {
			if err := bundles.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		proxy.take()
		r := m.start(t, strings.ReplaceAll(name, " ", "-"), "--master="+proxy.url, "--http-bind-address=")
		waitFor(t, time.Minute, name, enough)
		r.stop(t)
	}
	done := func(ctx context.Context) (wrong []string) {
		if _, err := core.ServiceAccounts("shop").Get(ctx, "default", metav1.GetOptions{}); err != nil {
			wrong = append(wrong, err.Error())
		}
		if _, err := core.ConfigMaps("shop").Get(ctx, "kube-root-ca.crt", metav1.GetOptions{}); err != nil {
			wrong = append(wrong, err.Error())
		}
		if trust {
			if list, err := bundles.List(ctx, metav1.ListOptions{}); err != nil || len(list.Items) == 0 {
				wrong = append(wrong, fmt.Sprint("no ClusterTrustBundle: ", err))
			}
		}
		return wrong
	}
	run("all rights", done)
	if forbidden := proxy.take(); len(forbidden) > 0 {
		t.Errorf("with all rights there is forbidden:\n%s", strings.Join(forbidden, "\n"))
	}

	missing := func(rule rbacv1.PolicyRule) func(context.Context) []string {
		return func(context.Context) []string {
			resource := strings.Replace(rule.Resources[0], "signers", "attest", 1) // as the API server says it
			if slices.ContainsFunc(proxy.forbidden(), func(text string) bool { return strings.Contains(text, resource) }) {
				return nil
			}
			return []string{"nothing about " + resource + " is forbidden"}
		}
	}
	without := func(rules []rbacv1.PolicyRule, i int) []rbacv1.PolicyRule {
		return slices.Delete(slices.Clone(rules), i, i+1)
	}
	cluster := must(rbac.ClusterRoles().Get(ctx, "serviceaccount-manager", metav1.GetOptions{}))
	for i, rule := range cluster.Rules {
		if !trust && rule.APIGroups[0] == "certificates.k8s.io" || rule.Resources[0] == "events" { // which tell of failures
			continue
		}
		role := must(rbac.ClusterRoles().Get(ctx, cluster.Name, metav1.GetOptions{}))
		role.Rules = without(cluster.Rules, i)
		must(rbac.ClusterRoles().Update(ctx, role, metav1.UpdateOptions{}))
		run(fmt.Sprintf("no rule %d of %s", i, rule.Resources[0]), missing(rule))
	}
	role := must(rbac.ClusterRoles().Get(ctx, cluster.Name, metav1.GetOptions{}))
	role.Rules = cluster.Rules
	must(rbac.ClusterRoles().Update(ctx, role, metav1.UpdateOptions{}))
	own := must(rbac.Roles("kube-system").Get(ctx, "serviceaccount-manager", metav1.GetOptions{}))
	for i, rule := range own.Rules {
		role := must(rbac.Roles("kube-system").Get(ctx, own.Name, metav1.GetOptions{}))
		role.Rules = without(own.Rules, i)
		must(rbac.Roles("kube-system").Update(ctx, role, metav1.UpdateOptions{}))
		run(fmt.Sprintf("no rule %d of %s", i, rule.Resources[0]), missing(rule))
	}
}

// A forbiddenProxy notes the requests that the API server forbids.
type forbiddenProxy struct {
	url string

	mu  sync.Mutex
	all []string
}

func newForbiddenProxy(t *testing.T, target string) *forbiddenProxy {
	p := new(forbiddenProxy)
	reverse := httputil.NewSingleHostReverseProxy(must(url.Parse(target)))
	reverse.FlushInterval = -1 // watches
	reverse.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) }
	reverse.ModifyResponse = func(r *http.Response) error {
		if r.StatusCode != http.StatusForbidden {
			return nil
		}
		body, err := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		p.mu.Lock()
		defer p.mu.Unlock()
		p.all = append(p.all, fmt.Sprintf("%s %s %.300s", r.Request.Method, r.Request.URL.Path, body))
		return err
	}
	server := httptest.NewServer(reverse)
	t.Cleanup(func() {
		server.CloseClientConnections()
		time.AfterFunc(10*time.Second, server.CloseClientConnections)
		server.Close()
	})
	p.url = server.URL
	return p
}

// forbidden returns what was forbidden since take.
func (p *forbiddenProxy) forbidden() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.all)
}

func (p *forbiddenProxy) take() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := p.all
	p.all = nil
	return all
}
