package compat

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/util/flowcontrol"
	"k8s.io/klog/v2"
	upstreamcontroller "k8s.io/kubernetes/pkg/controller/serviceaccount"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/internal/compat/generate"
	"github.com/kubesa/serviceaccount/sacontroller/legacytoken"
)

const cleanUpPeriod = 30 * 24 * time.Hour

// newCleanUp returns what a cluster holds: few Secrets, with all that decides about
// them near its threshold.
func newCleanUp(s *generate.Source, now time.Time) (objects []runtime.Object) {
	threshold := now.Add(-cleanUpPeriod)
	day := func(days int) string { return threshold.AddDate(0, 0, days).Format(time.DateOnly) }
	if since := generate.OneOf(s, "1998-01-01", "1998-01-01", "1998-01-01", "1998-01-01", day(-2), day(-1), day(0), "1998-01-01T00:00:00Z", "x", ""); since != "" {
		objects = append(objects, &configMap{
			ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "kube-apiserver-legacy-service-account-token-tracking"},
			Data:       map[string]string{"since": since},
		})
	}
	account := &serviceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "builder", UID: "account-uid"}, Secrets: references([]string{"token-0", "token-1"})}
	if s.Chance(10) {
		account.Secrets = account.Secrets[1:]
	}
	if !s.Chance(5) {
		objects = append(objects, account)
	}
	for i := range 1 + s.Intn(3) {
		n := &secret{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: "team", Name: fmt.Sprintf("token-%d", i), Labels: map[string]string{},
				CreationTimestamp: metav1.NewTime(generate.OneOf(s, threshold.AddDate(-1, 0, 0), threshold.AddDate(-1, 0, 0), threshold.AddDate(-1, 0, 0), threshold, threshold.Add(-time.Second), now)),
				Annotations:       map[string]string{corev1.ServiceAccountNameKey: generate.OneOf(s, "builder", "builder", "builder", "builder", "builder", "nobody")},
			},
			Type: generate.OneOf(s, corev1.SecretTypeServiceAccountToken, corev1.SecretTypeServiceAccountToken, corev1.SecretTypeServiceAccountToken, corev1.SecretTypeOpaque),
		}
		if uid := generate.OneOf(s, "account-uid", "account-uid", "", foreignUID); uid != "" {
			n.Annotations[corev1.ServiceAccountUIDKey] = uid
		}
		for _, label := range []string{"kubernetes.io/legacy-token-last-used", "kubernetes.io/legacy-token-invalid-since"} {
			if s.Chance(60) {
				n.Labels[label] = generate.OneOf(s, day(-1), day(0), day(1), day(2), day(-300), day(30), "", "x")
			}
		}
		if s.Chance(10) {
			n.DeletionTimestamp, n.Finalizers = &metav1.Time{Time: now}, held(true)
		}
		objects = append(objects, n)
	}
	if s.Chance(20) {
		name := generate.OneOf(s, "token-0", "token-1", "other")
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: generate.OneOf(s, "team", "team", "other"), Name: "web"}}
		pod.Status.Phase = generate.OneOf(s, corev1.PodRunning, corev1.PodSucceeded)
		container := corev1.Container{Name: "c", Image: "i"}
		switch s.Intn(3) {
		case 0:
			pod.Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: name}}}}
		case 1:
			container.EnvFrom = []corev1.EnvFromSource{{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: name}}}}
		case 2:
			pod.Spec.ImagePullSecrets = []corev1.LocalObjectReference{{Name: name}}
		}
		pod.Spec.Containers = []corev1.Container{container}
		objects = append(objects, pod)
	}
	return objects
}

// runCleanUp lets both cleaners work on the same objects for some days, and returns
// what is different then. It counts what upstream did by its verb.
func runCleanUp(t *testing.T, objects []runtime.Object, days int, count map[string]*atomic.Int64) (string, error) {
	ctx, cancel := context.WithCancel(klog.NewContext(t.Context(), klog.Logger{}))
	var sides [2]*fake.Cluster
	for i := range sides {
		sides[i] = &fake.Cluster{Now: time.Now, UIDSeed: 1} // the same UIDs on both sides
		if err := sides[i].Load(objects...); err != nil {
			cancel()
			return "", err
		}
	}
	client := newUpstreamClient(ctx, sides[0], nil)
	factory := informers.NewSharedInformerFactory(client, 0)
	all := factory.Core().V1()
	clock := flowcontrol.NewBackOff(time.Second, time.Second).Clock // the real one, which the bubble moves
	theirs := must(upstreamcontroller.NewLegacySATokenCleaner(all.ServiceAccounts(), all.Secrets(), all.Pods(), client, clock,
		upstreamcontroller.LegacySATokenCleanerOptions{CleanUpPeriod: cleanUpPeriod, SyncInterval: 24 * time.Hour}))
	factory.StartWithContext(ctx)
	synctest.Wait()
	done := make(chan struct{})
	go func() { defer close(done); theirs.Run(ctx) }()
	defer func() {
		cancel()
		<-done
		factory.Shutdown()
	}()
	ours := must(legacytoken.NewCleaner(legacytoken.CleanerConfig{
		Reader: sides[1].Reader(), Client: sides[1], CleanupPeriod: cleanUpPeriod, CleanupInterval: 24 * time.Hour,
	}))
	for day := range days {
		if day > 0 {
			time.Sleep(24 * time.Hour)
		}
		synctest.Wait()
		// A round may fail for good, when the ConfigMap says nothing: then nothing is done.
		_ = sides[1].Settle(ctx, ours)
	}
	for _, a := range sides[0].Actions() {
		if a.IsWrite() {
			count[a.Verb].Add(1)
		}
	}
	return cmp.Diff(secretTexts(ctx, sides[0]), secretTexts(ctx, sides[1])), nil
}

// secretTexts returns the Secrets of a cluster without their resourceVersions.
func secretTexts(ctx context.Context, cluster *fake.Cluster) (texts []string) {
	for _, n := range must(cluster.ListSecrets(ctx, "")) {
		n.ResourceVersion = ""
		texts = append(texts, string(must(json.Marshal(n))))
	}
	return texts
}

// TestCleanUp gives upstream's cleaner of legacy tokens and ours the same Secrets.
// CLN-20..33
func TestCleanUp(t *testing.T) {
	ignoreErrors(t)
	count := map[string]*atomic.Int64{"patch": {}, "delete": {}}
	generate.Check(t, generate.Count(3_000, 300_000), func() func(*generate.Source) error {
		return func(s *generate.Source) (err error) {
			synctest.Test(t, func(t *testing.T) {
				objects := newCleanUp(s, time.Now())
				diff, failure := runCleanUp(t, objects, generate.OneOf(s, 1, 2, 40), count)
				if err = failure; diff != "" {
					var texts []string
					for _, o := range objects {
						texts = append(texts, string(must(json.Marshal(o))))
					}
					err = fmt.Errorf("upstream and we differ (-upstream +ours):\n%s\nobjects:\n%s", diff, strings.Join(slices.Compact(texts), "\n"))
				}
			})
			return err
		}
	})
	for verb, n := range count {
		t.Logf("%6d times %s", n.Load(), verb)
		if n.Load() == 0 {
			t.Errorf("no case has a %s: the generator doesn't get there", verb)
		}
	}
}
