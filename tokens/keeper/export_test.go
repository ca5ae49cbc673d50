package keeper

// Disk is what a volume is written to.
type Disk = disk

// WriteVolumeTo is WriteVolume for another disk than the folder of an operating system.
func WriteVolumeTo(d Disk, files map[string]File) (changed bool, err error) {
	clean, err := cleanPaths(files)
	if err != nil {
		return false, err
	}
	return (&volume{d, clean}).update()
}
