package admission

import "context"

// stepsPerCheck is how many steps are taken between two looks at the context.
const stepsPerCheck = 1024

// A budget counts the steps of a decision, each of which handles one element of a
// list or one byte of a text that a client may have sent. All loops over such
// lists and texts spend it, so that a long decision ends when its request does.
type budget struct {
	ctx           context.Context // nil has no end
	steps, looked int             // until now, and when ctx was last looked at
}

// spend takes n steps. The error is a denial, of a request that has ended. It is small
// enough to be inlined.
func (b *budget) spend(n int) error {
	b.steps += n
	if b.steps-b.looked < stepsPerCheck {
		return nil
	}
	return b.look()
}

func (b *budget) look() error {
	b.looked = b.steps
	if b.ctx == nil {
		return nil
	}
	if err := b.ctx.Err(); err != nil {
		return denyLate(err)
	}
	return nil
}
