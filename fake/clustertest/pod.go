package clustertest

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func aboutPods() []Promise {
	return []Promise{
		promise("a pod has its account's name in both fields", podAccountNames), // ADM-13
		promise("a new pod is pending, whatever status it was sent with", podStatus),
		promise("a projected token has an expiry, of 10 minutes at least", projectedTokens), // ADM-230
		promise("a pod without containers is Invalid", podWithoutContainers),
		promise("a pod that runs is marked with the time of its end, and goes with a grace period of zero", podGracePeriod), // V12
		promise("a pod that does not run goes at once", pendingPodGoes),
		promise("a list of pods is of one namespace, or of all", podListsAreByNamespace),
		promise("a pod that is passed in or returned is the caller's", podsAreOwn), // F02
	}
}

func podAccountNames(r *room) {
	create(r, Cluster.CreateServiceAccount, r.account("builder"))
	for name, set := range map[string]func(*corev1.PodSpec){
		"name":  func(s *corev1.PodSpec) { s.ServiceAccountName = "builder" },
		"alias": func(s *corev1.PodSpec) { s.ServiceAccountName, s.DeprecatedServiceAccount = "", "builder" },
		"both":  func(s *corev1.PodSpec) { s.DeprecatedServiceAccount = "other" },
	} {
		pod := r.pod(name)
		set(&pod.Spec)
		create(r, Cluster.CreatePod, pod)
		if got := get(r, Cluster.GetPod, name).Spec; got.ServiceAccountName != "builder" || got.DeprecatedServiceAccount != "builder" {
			r.failf("a pod created with the account in %s has serviceAccountName %q and serviceAccount %q, want builder in both", name, got.ServiceAccountName, got.DeprecatedServiceAccount)
		}
	}
}

func podStatus(r *room) {
	create(r, Cluster.CreateServiceAccount, r.account("builder"))
	pod := r.pod("p")
	pod.Status = corev1.PodStatus{Phase: corev1.PodSucceeded, PodIP: "10.0.0.1"}
	create(r, Cluster.CreatePod, pod)
	if got := get(r, Cluster.GetPod, "p").Status; got.Phase != corev1.PodPending || got.PodIP != "" {
		r.failf("a new pod has phase %q and IP %q, want Pending and none", got.Phase, got.PodIP)
	}
}

func projectedTokens(r *room) {
	create(r, Cluster.CreateServiceAccount, r.account("builder"))
	withToken := func(name string, source corev1.ServiceAccountTokenProjection) *corev1.Pod {
		pod := r.pod(name)
		pod.Spec.Volumes = []corev1.Volume{{Name: "token", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
			Sources: []corev1.VolumeProjection{{ServiceAccountToken: &source}},
		}}}}
		return pod
	}
	create(r, Cluster.CreatePod, withToken("p", corev1.ServiceAccountTokenProjection{Path: "token"}))
	got := get(r, Cluster.GetPod, "p").Spec.Volumes
	if len(got) == 0 || got[0].Projected == nil || len(got[0].Projected.Sources) != 1 || got[0].Projected.Sources[0].ServiceAccountToken == nil {
		r.failf("a pod with a projected token has the volumes %+v", got)
	}
	if seconds := got[0].Projected.Sources[0].ServiceAccountToken.ExpirationSeconds; seconds == nil || *seconds != 3600 {
		r.failf("a projected token expires after %v seconds, want 3600", seconds)
	}
	const path = "spec.volumes[0].projected.sources[0].serviceAccountToken.expirationSeconds"
	for _, seconds := range []int64{599, 1<<32 + 1} {
		_, err := r.cluster.CreatePod(r.ctx, withToken("bad", corev1.ServiceAccountTokenProjection{Path: "token", ExpirationSeconds: &seconds}))
		r.invalid("create of a pod with a bad expiry", err, "Pod", "bad", metav1.CauseTypeFieldValueInvalid, path)
	}
	for name, cause := range map[string]metav1.CauseType{
		"": metav1.CauseTypeFieldValueRequired, "/token": metav1.CauseTypeFieldValueInvalid,
		"a/../b": metav1.CauseTypeFieldValueInvalid, "..token": metav1.CauseTypeFieldValueInvalid,
	} {
		_, err := r.cluster.CreatePod(r.ctx, withToken("bad", corev1.ServiceAccountTokenProjection{Path: name}))
		r.invalid("create of a pod with token path "+name, err, "Pod", "bad", cause, "spec.volumes[0].projected.path")
	}
}

func podWithoutContainers(r *room) {
	create(r, Cluster.CreateServiceAccount, r.account("builder"))
	pod := r.pod("p")
	pod.Spec.Containers = nil
	_, err := r.cluster.CreatePod(r.ctx, pod)
	r.invalid("create of a pod without containers", err, "Pod", "p", metav1.CauseTypeFieldValueRequired, "spec.containers")
}

func podGracePeriod(r *room) {
	create(r, Cluster.CreateServiceAccount, r.account("builder"))
	pod := r.pod("p")
	pod.Spec.NodeName = "clustertest-node"
	grace := int64(300)
	pod.Spec.TerminationGracePeriodSeconds = &grace
	before := create(r, Cluster.CreatePod, pod)
	r.done("delete of a pod", r.cluster.DeletePod(r.ctx, r.namespace, "p", metav1.DeleteOptions{}))
	marked := get(r, Cluster.GetPod, "p")
	if marked.DeletionTimestamp == nil || marked.DeletionGracePeriodSeconds == nil || *marked.DeletionGracePeriodSeconds != grace {
		r.failf("a deleted pod on a node has deletionTimestamp %v and grace period %v, want %d seconds", marked.DeletionTimestamp, marked.DeletionGracePeriodSeconds, grace)
	}
	if end := marked.CreationTimestamp.Add(300e9); marked.DeletionTimestamp.Time.Before(end) {
		r.failf("a deleted pod on a node ends at %v, want its grace period after the delete, %v at the earliest", marked.DeletionTimestamp, end)
	}
	r.newer("delete of a pod on a node", marked, before)
	less := int64(100)
	r.done("delete of a pod with less time", r.cluster.DeletePod(r.ctx, r.namespace, "p", metav1.DeleteOptions{GracePeriodSeconds: &less}))
	sooner := get(r, Cluster.GetPod, "p")
	if left := sooner.DeletionGracePeriodSeconds; left == nil || *left != less || !sooner.DeletionTimestamp.Before(marked.DeletionTimestamp) {
		r.failf("a delete with a grace period of %d seconds after one with %d left the end at %v", less, grace, sooner.DeletionTimestamp)
	}
	now := int64(0)
	r.done("delete of a pod with no time", r.cluster.DeletePod(r.ctx, r.namespace, "p", metav1.DeleteOptions{GracePeriodSeconds: &now}))
	_, err := r.cluster.GetPod(r.ctx, r.namespace, "p")
	r.rejected("get of a pod that is gone", err, rejection{metav1.StatusReasonNotFound, "pods", "p"})
}

func pendingPodGoes(r *room) {
	create(r, Cluster.CreateServiceAccount, r.account("builder"))
	create(r, Cluster.CreatePod, r.pod("p"))
	r.done("delete of a pod", r.cluster.DeletePod(r.ctx, r.namespace, "p", metav1.DeleteOptions{}))
	_, err := r.cluster.GetPod(r.ctx, r.namespace, "p")
	r.rejected("get of a deleted pod without a node", err, rejection{metav1.StatusReasonNotFound, "pods", "p"})
}

func podListsAreByNamespace(r *room) {
	second := r.newNamespace()
	create(r, Cluster.CreateServiceAccount, r.account("builder"))
	for _, name := range []string{"b", "a"} {
		create(r, Cluster.CreatePod, r.pod(name))
	}
	list, err := r.cluster.ListPods(r.ctx, r.namespace)
	r.same("the Pods of one namespace", names(r, "list of Pods", list, err), "a", "b")
	for _, namespace := range []string{second, "clustertest-nowhere"} {
		list, err = r.cluster.ListPods(r.ctx, namespace)
		r.same("the Pods of another namespace", names(r, "list of Pods", list, err))
	}
	list, err = r.cluster.ListPods(r.ctx, "")
	list = slices.DeleteFunc(list, func(p *corev1.Pod) bool { return p.Namespace != r.namespace && p.Namespace != second })
	r.same("the Pods of all namespaces", names(r, "list of all Pods", list, err), "a", "b")
}

func podsAreOwn(r *room) {
	create(r, Cluster.CreateServiceAccount, r.account("builder"))
	sent := r.pod("p")
	pods := []*corev1.Pod{sent, create(r, Cluster.CreatePod, sent), get(r, Cluster.GetPod, "p")}
	listed, err := r.cluster.ListPods(r.ctx, r.namespace)
	r.same("the Pods", names(r, "list of Pods", listed, err), "p")
	for _, pod := range append(pods, listed...) {
		for i := range pod.Spec.Containers {
			pod.Spec.Containers[i].Image = "spoiled"
		}
	}
	got := get(r, Cluster.GetPod, "p")
	listed, err = r.cluster.ListPods(r.ctx, r.namespace)
	r.same("the Pods", names(r, "list of Pods", listed, err), "p")
	for _, pod := range []*corev1.Pod{got, listed[0]} {
		if len(pod.Spec.Containers) != 1 || pod.Spec.Containers[0].Image != "busybox" {
			r.failf("a change of a pod that was passed in or returned changed the stored one: %+v", pod.Spec.Containers)
		}
	}
}
