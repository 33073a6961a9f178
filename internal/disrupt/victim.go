package disrupt

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// victim is one instance in the hands of one injection.
type victim struct {
	life life
	grip *grip

	mu       sync.Mutex
	hurt     *int // what to release when it is lifted; nil when nothing
	touched  bool // the harm was seen
	released bool
}

func (v *victim) kill(ctx context.Context, signal string) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	hurt, err := v.grip.end(ctx, v.life, func(ctx context.Context) error { return v.life.kill(ctx, signal) })
	v.hurt, v.touched = hurt, err == nil
	return err
}

func (v *victim) pause(ctx context.Context) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	hurt, err := v.grip.pause(ctx, v.life)
	v.hurt, v.touched = hurt, err == nil
	return err
}

// restart brings the instance down and up again, as far as other faults let it,
// and looks whether it is another one then.
func (v *victim) restart(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, lifeLimit)
	defer cancel()
	v.mu.Lock()
	defer v.mu.Unlock()
	before, err := v.life.look(ctx)
	if err != nil {
		return err
	}
	if v.hurt, err = v.grip.end(ctx, v.life, v.life.stop); err != nil {
		return err
	}
	hurt := v.hurt
	v.hurt = nil
	if err := v.grip.settle(ctx, v.life, hurt); err != nil {
		return err
	}
	after, err := v.life.look(ctx)
	v.touched = err == nil && after.id != before.id
	return err
}

// release takes the fault off. When that failed it may be called again.
func (v *victim) release(ctx context.Context) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.released {
		return nil
	}
	hurt := v.hurt
	v.hurt = nil
	if err := v.grip.settle(ctx, v.life, hurt); err != nil {
		return err
	}
	v.released = true
	v.grip.letGo(v.life)
	return nil
}

// stands reports whether the instance still is as a pause left it.
func (v *victim) stands(ctx context.Context) (bool, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.touched || v.released {
		return true, nil
	}
	return v.grip.stands(ctx, v.life)
}

func (v *victim) wasTouched() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.touched
}

// together does something to all of a list at once, and gives all that went
// wrong.
func together[T any](all []T, do func(T) error) error {
	errs := make([]error, len(all))
	var work sync.WaitGroup
	for i, one := range all {
		work.Go(func() { errs[i] = do(one) })
	}
	work.Wait()
	return errors.Join(errs...)
}

// within waits for work, but not for longer than the context lasts.
func within(ctx context.Context, work *sync.WaitGroup) error {
	done := make(chan struct{})
	go func() { defer close(done); work.Wait() }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		select {
		case <-done:
			return nil
		default:
			return fmt.Errorf("it is not over yet: %w", ctx.Err())
		}
	}
}
