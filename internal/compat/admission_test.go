package compat

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation"
	upstreamadmission "k8s.io/apiserver/pkg/admission"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/cache"
	core "k8s.io/kubernetes/pkg/apis/core"
	corev1conversion "k8s.io/kubernetes/pkg/apis/core/v1"
	upstreamplugin "k8s.io/kubernetes/plugin/pkg/admission/serviceaccount"

	"github.com/kubesa/serviceaccount/admission"
	"github.com/kubesa/serviceaccount/internal/compat/generate"
)

// An admissionCase is a request, what the accounts' getters say, and what both
// made of it.
type admissionCase struct {
	limit, noMount       bool
	operation            admissionv1.Operation
	subresource          string
	name                 string
	pod                  *corev1.Pod
	cached               *corev1.ServiceAccount
	live                 *corev1.ServiceAccount
	liveErr              error
	upstreamErr, oursErr error
	upstreamPod, oursPod *corev1.Pod
}

const admissionNamespace = "team"

func newAdmissionCase(s *generate.Source) *admissionCase {
	c := &admissionCase{
		limit:       s.Chance(15),
		noMount:     s.Chance(5),
		operation:   generate.OneOf(s, admissionv1.Create, admissionv1.Create, admissionv1.Create, admissionv1.Update, admissionv1.Update, admissionv1.Delete, admissionv1.Connect),
		subresource: generate.OneOf(s, "", "", "", "", "", "", "status", "binding", "EphemeralContainers", "exec"),
		name:        generate.OneOf(s, "", "web", "odd/name"),
		pod:         newPod(s),
	}
	if c.operation == admissionv1.Update && s.Chance(80) {
		c.subresource = "ephemeralcontainers"
	} else if c.operation != admissionv1.Create && s.Chance(2) {
		c.subresource = "ephemeralcontainers"
	}
	wanted := c.pod.Spec.ServiceAccountName
	if wanted == "" {
		wanted = c.pod.Spec.DeprecatedServiceAccount
	}
	if wanted == "" {
		wanted = "default"
	}
	account := newAccount(s, admissionNamespace, wanted)
	switch n := s.Intn(100); {
	case n < 80:
		c.cached = account
	case n < 88:
		c.live = account
	case n < 94:
		// It does not exist.
	default:
		resource := schema.GroupResource{Resource: "serviceaccounts"}
		c.liveErr = generate.OneOf[error](s,
			apierrors.NewForbidden(resource, wanted, errors.New("no")),
			apierrors.NewInternalError(errors.New("boom")),
			apierrors.NewTooManyRequests("busy", 3),
			errors.New("connection refused"),
		)
	}
	return c
}

// GetServiceAccount is the live getter of our plugin, and of the clientset that
// upstream's plugin has.
func (c *admissionCase) GetServiceAccount(_ context.Context, namespace, name string) (*corev1.ServiceAccount, error) {
	switch {
	case c.liveErr != nil:
		return nil, c.liveErr
	case c.live != nil && c.live.Namespace == namespace && c.live.Name == name:
		return c.live, nil
	}
	return nil, apierrors.NewNotFound(schema.GroupResource{Resource: "serviceaccounts"}, name)
}

type cachedAccount struct{ *admissionCase }

func (c cachedAccount) GetServiceAccount(_ context.Context, namespace, name string) (*corev1.ServiceAccount, error) {
	if c.cached != nil && c.cached.Namespace == namespace && c.cached.Name == name {
		return c.cached, nil
	}
	return nil, apierrors.NewNotFound(schema.GroupResource{Resource: "serviceaccounts"}, name)
}

// upstreamAdmission is upstream's plugin with a cache and a client that hold
// what the current case says.
type upstreamAdmission struct {
	current *admissionCase
	plugin  *upstreamplugin.Plugin
	cache   cache.Indexer
}

func newUpstreamAdmission() *upstreamAdmission {
	u := &upstreamAdmission{plugin: upstreamplugin.NewServiceAccount()}
	client := fake.NewClientset()
	client.PrependReactor("get", "serviceaccounts", func(action clienttesting.Action) (bool, runtime.Object, error) {
		get := action.(clienttesting.GetAction)
		account, err := u.current.GetServiceAccount(context.Background(), get.GetNamespace(), get.GetName())
		if err != nil {
			return true, nil, err
		}
		return true, account, nil
	})
	factory := informers.NewSharedInformerFactory(client, 0)
	u.plugin.SetExternalKubeClientSet(client)
	u.plugin.SetExternalKubeInformerFactory(factory)
	u.cache = factory.Core().V1().ServiceAccounts().Informer().GetIndexer()
	return u
}

// review does what an API server does: nothing if the plugin does not handle
// the operation, else Admit, then Validate on what Admit made.
func (u *upstreamAdmission) review(c *admissionCase) (*corev1.Pod, error) {
	u.current = c
	var cached []any
	if c.cached != nil {
		cached = append(cached, c.cached)
	}
	if err := u.cache.Replace(cached, "1"); err != nil {
		return nil, err
	}
	u.plugin.LimitSecretReferences, u.plugin.MountServiceAccountToken = c.limit, !c.noMount

	pod := c.pod.DeepCopy()
	defaultAccountName(pod)
	var internal core.Pod
	if err := corev1conversion.Convert_v1_Pod_To_core_Pod(pod, &internal, nil); err != nil {
		return nil, err
	}
	attributes := upstreamadmission.NewAttributesRecord(&internal, nil, core.Kind("Pod").WithVersion("v1"),
		admissionNamespace, c.name, core.Resource("pods").WithVersion("v1"), c.subresource,
		upstreamadmission.Operation(c.operation), nil, false, nil)
	if u.plugin.Handles(attributes.GetOperation()) {
		if err := u.plugin.Admit(context.Background(), attributes, nil); err != nil {
			return nil, err
		}
		if err := u.plugin.Validate(context.Background(), attributes, nil); err != nil {
			return nil, err
		}
	}
	var reviewed corev1.Pod
	return &reviewed, corev1conversion.Convert_core_Pod_To_v1_Pod(&internal, &reviewed, nil)
}

// defaultAccountName does what the API server does when it decodes a pod,
// before any admission plugin sees it (ADM-13).
func defaultAccountName(pod *corev1.Pod) {
	if pod.Spec.ServiceAccountName == "" {
		pod.Spec.ServiceAccountName = pod.Spec.DeprecatedServiceAccount
	}
	pod.Spec.DeprecatedServiceAccount = pod.Spec.ServiceAccountName
}

func (c *admissionCase) review() (*corev1.Pod, error) {
	plugin, err := admission.New(admission.Config{
		ServiceAccounts:       cachedAccount{c},
		Live:                  c,
		LimitSecretReferences: c.limit,
		DisableTokenMount:     c.noMount,
	})
	if err != nil {
		return nil, err
	}
	req := admission.Request{
		Operation:   c.operation,
		Namespace:   admissionNamespace,
		Name:        c.name,
		Subresource: c.subresource,
		Pod:         c.pod.DeepCopy(),
	}
	if err := plugin.Admit(context.Background(), req); err != nil {
		return nil, err
	}
	if err := plugin.Validate(context.Background(), req); err != nil {
		return nil, err
	}
	// Ours sees pods of users of the library too, whose fields have no defaults.
	defaultAccountName(req.Pod)
	return req.Pod, nil
}

// run fills in what both make of the case and describes the difference.
func (c *admissionCase) run(u *upstreamAdmission) (string, error) {
	c.upstreamPod, c.upstreamErr = u.review(c)
	c.oursPod, c.oursErr = c.review()
	if c.upstreamErr != nil || c.oursErr != nil {
		return cmp.Diff(describeError(c.upstreamErr), describeError(c.oursErr)), nil
	}
	sameVolumeName(c.pod, c.upstreamPod)
	sameVolumeName(c.pod, c.oursPod)
	if reflect.DeepEqual(c.upstreamPod, c.oursPod) {
		return "", nil
	}
	// Lists may be nil or empty where it does not show.
	upstream, err := json.Marshal(c.upstreamPod)
	if err != nil {
		return "", err
	}
	ours, err := json.Marshal(c.oursPod)
	if err != nil {
		return "", err
	}
	if string(upstream) == string(ours) {
		return "", nil
	}
	return cmp.Diff(c.upstreamPod, c.oursPod), nil
}

// describeError tells a refusal, with all of its status, from another error.
func describeError(err error) any {
	if err == nil {
		return nil
	}
	// Like the API server, which looks at the type of the error itself.
	if status, ok := err.(apierrors.APIStatus); ok {
		return status.Status()
	}
	return err.Error()
}

// sameVolumeName gives the volume that was added to pod, which ends in random
// characters, a name that is the same for both.
func sameVolumeName(before, pod *corev1.Pod) {
	if len(pod.Spec.Volumes) != len(before.Spec.Volumes)+1 {
		return
	}
	added := &pod.Spec.Volumes[len(pod.Spec.Volumes)-1].Name
	name := *added
	const prefix = "kube-api-access-"
	if !strings.HasPrefix(name, prefix) || len(name) != len(prefix)+5 {
		return
	}
	*added = prefix + "?"
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			mounts := list[i].VolumeMounts
			if n := len(mounts); n > 0 && mounts[n-1].Name == name {
				mounts[n-1].Name = prefix + "?"
			}
		}
	}
}

// same403 says whether we refuse with a 403 Status, whose message has the text
// of upstream's plain error.
func (c *admissionCase) same403() bool {
	if c.upstreamErr == nil || c.oursErr == nil {
		return false
	}
	if _, ok := c.upstreamErr.(apierrors.APIStatus); ok {
		return false
	}
	ours, ok := c.oursErr.(apierrors.APIStatus)
	return ok && ours.Status().Code == 403 && ours.Status().Reason == metav1.StatusReasonForbidden &&
		strings.Contains(ours.Status().Message, c.upstreamErr.Error())
}

// addsRetryAfter says whether we refuse with upstream's status and the advice to
// try again, because the account could not be looked up or is the default one.
func (c *admissionCase) addsRetryAfter() bool {
	upstream, ok := c.upstreamErr.(apierrors.APIStatus)
	if !ok || c.cached != nil {
		return false
	}
	ours, ok := c.oursErr.(apierrors.APIStatus)
	if !ok {
		return false
	}
	status := ours.Status()
	status.Details = status.Details.DeepCopy()
	advised := status.Details.RetryAfterSeconds > 0
	status.Details.RetryAfterSeconds = 0
	return advised && cmp.Equal(upstream.Status(), status)
}

// hasBadName says whether we refuse because the pod's account has a name that an
// API server would not have stored.
func (c *admissionCase) hasBadName() bool {
	name := c.pod.Spec.ServiceAccountName
	if name == "" {
		name = c.pod.Spec.DeprecatedServiceAccount
	}
	ours, ok := c.oursErr.(apierrors.APIStatus)
	return ok && len(validation.IsDNS1123Subdomain(name)) > 0 && ours.Status().Details.RetryAfterSeconds == 0 &&
		strings.HasSuffix(ours.Status().Message, fmt.Sprintf("error looking up service account %s/%s: serviceaccount %q not found", admissionNamespace, name, name))
}

func TestAdmission(t *testing.T) {
	known := newDeviations(
		deviation[admissionCase]{"ADM-22: a 403 of the live lookup is a refusal, not a 500", func(c *admissionCase) bool {
			return apierrors.IsForbidden(c.liveErr) && c.same403()
		}},
		deviation[admissionCase]{"ADM-226: ephemeral containers are refused with 403, not with 500", func(c *admissionCase) bool {
			return c.same403() && strings.HasPrefix(c.upstreamErr.Error(), "ephemeral container ")
		}},
		deviation[admissionCase]{"ADM-19, ADM-21: a refusal that may heal says when to try again", (*admissionCase).addsRetryAfter},
		deviation[admissionCase]{"ADM-16: a name that no account can have is not looked up", (*admissionCase).hasBadName},
	)
	// Upstream sleeps between its looks for a missing default account.
	synctest.Test(t, func(t *testing.T) {
		generate.Check(t, generate.Count(100_000, 5_000_000), func() func(*generate.Source) error {
			upstream := newUpstreamAdmission()
			return func(s *generate.Source) error {
				c := newAdmissionCase(s)
				diff, err := c.run(upstream)
				if err != nil || diff == "" || known.explain(c) {
					return err
				}
				return fmt.Errorf("upstream and we differ (-upstream +ours):\n%s\ncase: %s", diff, c)
			}
		})
	})
	known.report(t)
}

func (c *admissionCase) String() string {
	text, err := json.MarshalIndent(map[string]any{
		"limit": c.limit, "noMount": c.noMount, "operation": c.operation, "subresource": c.subresource, "name": c.name,
		"pod": c.pod, "cached": c.cached, "live": c.live, "liveErr": fmt.Sprint(c.liveErr),
		"upstreamErr": fmt.Sprint(c.upstreamErr), "oursErr": fmt.Sprint(c.oursErr),
	}, "", "  ")
	if err != nil {
		return err.Error()
	}
	return string(text)
}
