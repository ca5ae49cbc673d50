package webhook

import (
	"context"
	"strconv"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubesa/serviceaccount/admission"
)

// A patch is a JSON Patch (RFC 6902) that is being written. It only adds, and only
// where something is to be added, so whatever else a pod has stays byte for byte.
type patch struct {
	buf []byte
}

// write makes edits to the pod that in was read from, and marks in as having what
// is added. It writes nothing if all of the pod stays. The error is that of ctx.
func (p *patch) write(ctx context.Context, in *podJSON, edits []admission.Edit) error {
	for i := range edits {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !edits[i].Keep {
			p.add(in, &edits[i])
		}
	}
	if len(p.buf) > 0 {
		p.buf = append(p.buf, ']')
	}
	return nil
}

func (p *patch) add(in *podJSON, e *admission.Edit) {
	spec := &in.pod.Spec
	if len(p.buf) == 0 && !in.hasSpec {
		p.op("add", "/spec")
		p.buf = append(p.buf, `","value":{}}`...)
	}
	switch e.Field {
	case "volumes":
		p.addTo(spec.Volumes == nil, e, "/spec/volumes")
		spec.Volumes = []corev1.Volume{} // no longer missing
	case "initContainers":
		p.addToContainer(&spec.InitContainers[e.Container], in.isNull(e), e)
	case "containers":
		p.addToContainer(&spec.Containers[e.Container], in.isNull(e), e)
	default:
		p.op("add", "/spec/", e.Field)
		p.value(e, "", "")
	}
}

// addToContainer adds a mount or a variable to c, which is null in the raw JSON if null
// says so.
func (p *patch) addToContainer(c *corev1.Container, null bool, e *admission.Edit) {
	index := strconv.Itoa(e.Container)
	if e.Env {
		p.addTo(c.Env == nil, e, "/spec/", e.Field, "/", index, "/env")
		c.Env = []corev1.EnvVar{} // no longer missing
		return
	}
	if null && c.VolumeMounts == nil { // a mount comes before all variables
		p.op("replace", "/spec/", e.Field, "/", index)
		p.value(e, `{"volumeMounts":[`, "]}")
	} else {
		p.addTo(c.VolumeMounts == nil, e, "/spec/", e.Field, "/", index, "/volumeMounts")
	}
	c.VolumeMounts = []corev1.VolumeMount{}
}

// addTo adds an element to the list at path, and the list if it is missing.
func (p *patch) addTo(missing bool, e *admission.Edit, path ...string) {
	p.op("add", path...)
	if missing {
		p.value(e, "[", "]")
		return
	}
	p.buf = append(p.buf, "/-"...)
	p.value(e, "", "")
}

// op begins an operation on what is at path.
func (p *patch) op(op string, path ...string) {
	begin := byte(',')
	if len(p.buf) == 0 {
		begin = '['
	}
	p.buf = append(p.buf, begin)
	p.buf = append(p.buf, `{"op":"`...)
	p.buf = append(p.buf, op...)
	p.buf = append(p.buf, `","path":"`...)
	for _, part := range path {
		p.buf = append(p.buf, part...)
	}
}

// value ends an operation with the value of e, between before and after.
func (p *patch) value(e *admission.Edit, before, after string) {
	p.buf = append(p.buf, `","value":`...)
	p.buf = append(p.buf, before...)
	p.buf = e.AppendJSON(p.buf)
	p.buf = append(p.buf, after...)
	p.buf = append(p.buf, '}')
}
