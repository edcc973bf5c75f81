// Which folder may import which (docs/development.md). `npm test` runs it.

/** A rule: files of `from` import nothing of operator/ but `to`, by folder names. */
function layer(from, ...to) {
  return {
    name: `layer-${from}`,
    comment: `operator/${from} imports from operator/ only: ${to.join(', ')}`,
    severity: 'error',
    from: { path: `^operator/${from}/` },
    to: { path: '^operator/', pathNot: `^operator/(${to.join('|')})/` },
  };
}

const SHARED = ['domain', 'providers', 'api', 'kube', 'observability'];

export default {
  forbidden: [
    layer('api', 'api'),
    layer('domain', 'domain', 'api'),
    layer('providers', 'providers', 'domain', 'api'),
    layer('kube', 'kube'),
    layer('observability', 'observability'),
    layer('accounts', 'accounts', ...SHARED),
    layer('servers', 'servers', ...SHARED),
    {
      name: 'domain-is-pure',
      comment: 'operator/domain decides; it has no clock, no files, no network and no library',
      severity: 'error',
      from: { path: '^operator/domain/', pathNot: '\\.test(-support)?\\.ts$' },
      to: { pathNot: '^operator/' },
    },
    {
      name: 'product-without-tests',
      comment: 'what we ship imports nothing of test/ and scripts/, and no test',
      severity: 'error',
      from: { path: '^(operator|cli)/', pathNot: '\\.test(-support)?\\.ts$' },
      to: { path: ['^(test|scripts)/', '\\.test(-support)?\\.ts$'] },
    },
    {
      name: 'product-without-development-packages',
      comment: 'a devDependency is not there in the image',
      severity: 'error',
      from: { path: '^(operator|cli)/', pathNot: '\\.test(-support)?\\.ts$' },
      to: { dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown'], dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'clouds-know-no-operator',
      comment: 'a simulated cloud that shares code with the operator shares its mistakes',
      severity: 'error',
      from: { path: '^test/clouds/' },
      to: { path: '^(operator|cli)/' },
    },
    {
      name: 'no-cycles',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    {
      name: 'resolvable',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default'] },
  },
};
