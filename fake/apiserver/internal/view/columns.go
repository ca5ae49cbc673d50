package view

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/kubesa/serviceaccount/fake/internal/object"
)

// columnsOf returns what kubectl shows of the objects of a kind.
func columnsOf(k *object.Kind) []column {
	columns := []column{{name: "Name", description: "the name of the object", cell: func(o object.Object, _ time.Time) any { return o.GetName() }}}
	switch k {
	case object.Namespaces:
		columns = append(columns, column{name: "Status", description: "Active, or Terminating", cell: func(o object.Object, _ time.Time) any {
			return string(o.(*corev1.Namespace).Status.Phase)
		}})
	case object.Nodes:
		columns = append(columns,
			column{name: "Status", description: "whether the node is ready", cell: func(o object.Object, _ time.Time) any { return nodeStatus(o.(*corev1.Node)) }},
			column{name: "Roles", description: "the roles that labels give to the node", cell: func(o object.Object, _ time.Time) any { return nodeRoles(o.(*corev1.Node)) }})
	case object.ServiceAccounts:
		columns = append(columns, column{name: "Secrets", typ: "integer", description: "how many Secrets the account lists", cell: func(o object.Object, _ time.Time) any {
			return len(o.(*corev1.ServiceAccount).Secrets)
		}})
	case object.Secrets:
		columns = append(columns,
			column{name: "Type", description: "what the Secret is for", cell: func(o object.Object, _ time.Time) any { return string(o.(*corev1.Secret).Type) }},
			column{name: "Data", typ: "integer", description: "how many keys the Secret has", cell: func(o object.Object, _ time.Time) any { return len(o.(*corev1.Secret).Data) }})
	case object.ClusterTrustBundles:
		columns = append(columns, column{name: "SignerName", description: "whose certificates the bundle verifies", cell: func(o object.Object, _ time.Time) any {
			return orNone(o.(*certificatesv1.ClusterTrustBundle).Spec.SignerName)
		}})
	case object.ConfigMaps:
		columns = append(columns, column{name: "Data", typ: "integer", description: "how many keys the ConfigMap has", cell: func(o object.Object, _ time.Time) any {
			m := o.(*corev1.ConfigMap)
			return len(m.Data) + len(m.BinaryData)
		}})
	case object.Pods:
		columns = append(columns,
			column{name: "Ready", description: "how many containers are ready", cell: func(o object.Object, _ time.Time) any { return podReady(o.(*corev1.Pod)) }},
			column{name: "Status", description: "what the pod is doing", cell: func(o object.Object, _ time.Time) any { return podStatus(o.(*corev1.Pod)) }},
			column{name: "Restarts", typ: "integer", description: "how often containers were restarted", cell: func(o object.Object, _ time.Time) any { return podRestarts(o.(*corev1.Pod)) }})
	}
	if k != object.ClusterTrustBundles {
		columns = append(columns, column{name: "Age", description: "the time since the object was created", cell: age})
	}
	switch k {
	case object.Nodes:
		columns = append(columns, column{name: "Version", description: "the version of the kubelet", cell: func(o object.Object, _ time.Time) any {
			return o.(*corev1.Node).Status.NodeInfo.KubeletVersion
		}})
	case object.Pods:
		columns = append(columns,
			column{name: "IP", description: "the address of the pod", wide: true, cell: func(o object.Object, _ time.Time) any { return orNone(o.(*corev1.Pod).Status.PodIP) }},
			column{name: "Node", description: "where the pod runs", wide: true, cell: func(o object.Object, _ time.Time) any { return orNone(o.(*corev1.Pod).Spec.NodeName) }})
	}
	return columns
}

func eventColumns() []column {
	return []column{
		{name: "Last Seen", description: "when the event was seen last"}, {name: "Type", description: "Normal or Warning"},
		{name: "Reason", description: "why it happened"}, {name: "Object", description: "what it is about"}, {name: "Message", description: "what happened"},
	}
}

func orNone(text string) string {
	if text == "" {
		return "<none>"
	}
	return text
}

func nodeStatus(node *corev1.Node) string {
	status := "Unknown"
	for _, condition := range node.Status.Conditions {
		if condition.Type == corev1.NodeReady {
			status = "NotReady"
			if condition.Status == corev1.ConditionTrue {
				status = "Ready"
			}
		}
	}
	if node.Spec.Unschedulable {
		status += ",SchedulingDisabled"
	}
	return status
}

func nodeRoles(node *corev1.Node) string {
	var roles []string
	for _, label := range slices.Sorted(maps.Keys(node.Labels)) {
		if role, ok := strings.CutPrefix(label, "node-role.kubernetes.io/"); ok && role != "" {
			roles = append(roles, role)
		}
	}
	return orNone(strings.Join(roles, ","))
}

func podReady(pod *corev1.Pod) string {
	ready := 0
	for _, status := range pod.Status.ContainerStatuses {
		if status.Ready {
			ready++
		}
	}
	return fmt.Sprintf("%d/%d", ready, len(pod.Spec.Containers))
}

// podStatus is the phase, or what is more telling.
func podStatus(pod *corev1.Pod) string {
	status := string(pod.Status.Phase)
	if pod.Status.Reason != "" {
		status = pod.Status.Reason
	}
	for _, container := range pod.Status.ContainerStatuses {
		switch state := container.State; {
		case state.Waiting != nil && state.Waiting.Reason != "":
			status = state.Waiting.Reason
		case state.Terminated != nil && state.Terminated.Reason != "":
			status = state.Terminated.Reason
		}
	}
	if pod.DeletionTimestamp != nil {
		return "Terminating"
	}
	return status
}

func podRestarts(pod *corev1.Pod) int {
	restarts := 0
	for _, status := range pod.Status.ContainerStatuses {
		restarts += int(status.RestartCount)
	}
	return restarts
}
