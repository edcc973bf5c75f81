// `npm run test:unit` and `npm run test:integration` choose the project; both run TypeScript through swc.
// What a test needs is there before it begins (scripts/test.ts); nothing is downloaded or built within its time limit.
process.env.CAO_NO_BUILD ??= '1';

const common = {
  testEnvironment: 'node',
  setupFiles: ['<rootDir>/test/properties.ts'],
  extensionsToTreatAsEsm: ['.ts'],
  transform: {
    '^.+\\.ts$': [
      '@swc/jest',
      { jsc: { target: 'es2024', parser: { syntax: 'typescript' } }, module: { type: 'es6' } },
    ],
  },
};

export default {
  // `npm run test:unit` asks for it: a decision that no test reaches is a rule that nobody checks.
  collectCoverageFrom: ['operator/domain/**/*.ts', '!**/*.test-support.ts', '!**/*.test.ts'],
  coverageReporters: [['text', { skipFull: true }]],
  coverageThreshold: { global: { branches: 100, functions: 100, lines: 100, statements: 100 } },
  projects: [
    {
      ...common,
      displayName: 'unit',
      testMatch: [
        '<rootDir>/{operator,cli,scripts,test/chaos,test/clouds,test/contract,test/control-plane,test/e2e}/**/*.test.ts',
      ],
    },
    {
      ...common,
      displayName: 'integration',
      testMatch: ['<rootDir>/test/{integration,proof}/**/*.test.ts'],
      globalSetup: '<rootDir>/test/integration/global-setup.ts',
      globalTeardown: '<rootDir>/test/integration/global-teardown.ts',
    },
    {
      ...common,
      displayName: 'e2e',
      testMatch: ['<rootDir>/test/e2e/*.e2e.ts'],
    },
  ],
};
