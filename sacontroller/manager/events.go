package manager

import (
	"math/bits"
	"strings"
	"sync"

	"github.com/kubesa/serviceaccount/sacontroller"
	corev1 "k8s.io/api/core/v1"
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

// events records the Events of one cluster. It starts goroutines with the first one,
// which stop ends.
type events struct {
	mu          sync.Mutex
	broadcaster record.EventBroadcaster
	recorder    record.EventRecorder
	stopped     bool
}

// record records that secret is not filled, with the client of c.
func (e *events) record(c *cluster, secret *corev1.Secret, message string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.stopped {
		return
	}
	if e.broadcaster == nil {
		e.broadcaster = record.NewBroadcaster(record.WithContext(c.ctx))
		e.broadcaster.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: c.Client.CoreV1().Events("")})
		e.recorder = e.broadcaster.NewRecorder(scheme.Scheme, corev1.EventSource{Component: "serviceaccount-manager"})
	}
	e.recorder.Event(&corev1.ObjectReference{
		APIVersion: "v1", Kind: "Secret", Namespace: secret.Namespace, Name: secret.Name, UID: secret.UID,
	}, corev1.EventTypeWarning, ReasonNotFilled, message)
}

func (e *events) stop() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.stopped = true
	if e.broadcaster != nil {
		e.broadcaster.Shutdown()
	}
}

// failed logs a failed attempt, and records an Event for a Secret that exists, both
// for attempts 1, 2, 4, 8… only.
func (m *Manager) failed(controller string, key sacontroller.Key, attempts int, err error) {
	log := m.log.Debug
	rare := bits.OnesCount(uint(attempts)) <= 1
	if rare {
		log = m.log.Warn
	}
	log("Attempt failed", "controller", controller, "key", key.String(), "attempt", attempts, "error", err)
	if !rare || attempts > 0 && attempts < eventAfter {
		return
	}
	c := m.clusterOf(key.Tenant)
	if c == nil {
		return
	}
	secret, getErr := get[corev1.Secret](c, "secrets", key.Namespace+"/"+key.Name, TokenSecrets)
	if getErr != nil || secret.UID != key.UID {
		return
	}
	message := err.Error()
	c.events.record(c, secret, strings.ToValidUTF8(message[:min(len(message), maxMessage)], ""))
}
