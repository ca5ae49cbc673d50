package sacontroller

// Pending returns for how many accounts c remembers a Secret that it is generating.
func (c *Tokens) Pending() int { return c.tenants.Of("").pending.Len() }

// Searches returns how many searches c remembers.
func (c *Tokens) Searches() int { return c.tenants.Of("").searches.Len() }
