import fc from 'fast-check';

/**
 * How properties are tried; jest loads it before each test file. The seed is the same each time, so that a red run is
 * about the change that is tried. `npm run test:full` gives a new one, which it prints, and ten times as many runs.
 */
const { PROPERTY_SEED: seed = '1', PROPERTY_FACTOR: factor = '1' } = process.env;

fc.configureGlobal({ seed: Number(seed), numRuns: 100 * Number(factor) });
