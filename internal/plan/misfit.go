package plan

import "fmt"

// Misfit says that a plan asks for what can not be done where it is run, such
// as a disruption of more instances than there are. Trying again does not help
// before the plan was changed.
type Misfit struct{ message string }

// Misfitf makes a Misfit; its message says what is wrong and what to do.
func Misfitf(format string, args ...any) *Misfit { return &Misfit{fmt.Sprintf(format, args...)} }

func (m *Misfit) Error() string { return m.message }
