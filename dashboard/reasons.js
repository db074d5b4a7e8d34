// Reason codes as people read them: short words for filters and lists. The service's own sentence is in every answer.

export const REASONS = {
  path_too_straight: 'Path too straight', no_jitter: 'No jitter', impossible_speed: 'Impossible speed', perfect_accuracy: 'Every click hit',
  robotic_timing: 'Too regular in time', unlike_humans: 'Unlike people as a whole', calibration_too_small: 'Too few people calibrate it',
  too_few_movements: 'Too few movements', flagged: 'Flagged', speed_spread: 'Spread of the speed', speed_rhythm: 'Rhythm of the speed',
  acceleration: 'Acceleration', turning: 'Turning', power_law: 'Speed in bends', roughness: 'Fine roughness', straightness: 'Straightness of pieces',
  pauses: 'Pauses and jumps', stroke_shape: 'Shape of reaches', stroke_variety: 'Variety of reaches', smoothness: 'Follows a drawn curve',
  click_approach: 'Approach to clicks', event_stream: 'Recorded steps', unfamiliar_recorder: 'Unfamiliar recorder',
  replayed_movement: 'Replayed movement', campaign: 'Campaign', allowed: 'User allowed', denied: 'User denied', test_pass: 'Test key: passes',
  test_review: 'Test key: reviewed', test_fail: 'Test key: fails', too_little_movement: 'Too little movement', outside_people: 'Outside of people',
  machine_motion: 'Machine motion', no_pointer: 'No pointer', untrusted_events: 'Made by a script',
};

/** The reasons of a row in a few words. */
export const inWords = (reasons) => reasons.map((reason) => REASONS[reason.code] ?? reason.code).join(', ');
