package admission

import "context"

// stepsPerCheck is how many steps are taken between two looks at the context.
const stepsPerCheck = 1024

// A budget counts the steps of a decision, each of which handles one element of a
// list or one byte of a text that a client may have sent. All loops over such
// lists and texts spend it, so that a long decision ends when its request does.
type budget struct {
	ctx   context.Context // nil has no end
	steps int
}

// spend takes n steps. The error is a denial, of a request that has ended.
func (b *budget) spend(n int) error {
	before := uint(b.steps) / stepsPerCheck
	b.steps += n
	if b.ctx == nil || uint(b.steps)/stepsPerCheck == before {
		return nil
	}
	if err := b.ctx.Err(); err != nil {
		return denyLate(err)
	}
	return nil
}
