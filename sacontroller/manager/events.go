package manager

import (
	"context"
	"math/bits"
	"strings"

	"github.com/kubesa/serviceaccount/sacontroller"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/record"
)

// ReasonNotFilled is the reason of the Event, of type Warning, that is recorded
// for a Secret that could not be filled in several attempts. Its message is the
// error of the last one.
const ReasonNotFilled = "NotFilled"

const (
	// eventAfter is the number of attempts, about half a second's worth, that may
	// fail before there is an Event: conflicts and short outages pass.
	eventAfter = 8
	// maxMessage is what the API allows for a message, in bytes.
	maxMessage = 1024
)

// events records Events. It starts goroutines, which stop ends.
type events struct {
	broadcaster record.EventBroadcaster
	recorder    record.EventRecorder
}

func newEvents(ctx context.Context, client kubernetes.Interface) *events {
	b := record.NewBroadcaster(record.WithContext(ctx))
	b.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: client.CoreV1().Events("")})
	return &events{b, b.NewRecorder(scheme.Scheme, corev1.EventSource{Component: "serviceaccount-manager"})}
}

func (e *events) stop() { e.broadcaster.Shutdown() }

// failed logs a failed attempt, and records an Event for a Secret that exists, both
// for attempts 1, 2, 4, 8… only.
func (m *Manager) failed(controller string, key sacontroller.Key, attempts int, err error) {
	log := m.log.Debug
	rare := bits.OnesCount(uint(attempts)) <= 1
	if rare {
		log = m.log.Warn
	}
	log("Attempt failed", "controller", controller, "key", key.String(), "attempt", attempts, "error", err)
	if !rare || key.Kind != "Secret" || attempts > 0 && attempts < eventAfter {
		return
	}
	secret, getErr := m.Reader().GetSecret(context.Background(), key.Namespace, key.Name)
	if getErr != nil || secret.UID != key.UID {
		return
	}
	message := err.Error()
	message = strings.ToValidUTF8(message[:min(len(message), maxMessage)], "")
	m.events.recorder.Event(&corev1.ObjectReference{
		APIVersion: "v1", Kind: "Secret", Namespace: secret.Namespace, Name: secret.Name, UID: secret.UID,
	}, corev1.EventTypeWarning, ReasonNotFilled, message)
}
