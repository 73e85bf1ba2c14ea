package spelling

// Distance is how many slips lie between two texts.
var Distance = distance
