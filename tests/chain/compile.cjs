// Compiles one set of contracts with the pinned npm solc and writes what deploying needs as JSON.
//   node compile.cjs own|aave36 OUTPUT.json      (working directory: the repository)
'use strict';

const fs = require('node:fs');
const path = require('node:path');
const solc = require(path.resolve('node_modules/solc'));

const ORIGIN = '@aave-dao/aave-v3-origin/src/contracts';
const REMAPPINGS = [
  ['openzeppelin-contracts/', '@openzeppelin/'],
  ['solidity-utils/', '@bgd-labs/solidity-utils/src/'],
];
const SETS = {
  own: ['tests/chain/contracts/SettableFeed.sol', 'tests/chain/contracts/RatioAdapter.sol'],
  aave36: [
    'helpers/AaveProtocolDataProvider',
    'helpers/UiPoolDataProviderV3',
    'helpers/WrappedTokenGatewayV3',
    'instances/ATokenInstance',
    'instances/PoolConfiguratorInstance',
    'instances/PoolInstance',
    'instances/VariableDebtTokenInstance',
    'misc/AaveOracle',
    'misc/DefaultReserveInterestRateStrategyV2',
    'protocol/configuration/ACLManager',
    'protocol/configuration/PoolAddressesProvider',
    'protocol/libraries/helpers/Errors',
    'protocol/libraries/logic/BorrowLogic',
    'protocol/libraries/logic/ConfiguratorLogic',
    'protocol/libraries/logic/FlashLoanLogic',
    'protocol/libraries/logic/LiquidationLogic',
    'protocol/libraries/logic/PoolLogic',
    'protocol/libraries/logic/SupplyLogic',
  ].map((name) => `${ORIGIN}/${name}.sol`),
};

function locate(source) {
  if (fs.existsSync(source)) return source;
  const remapping = REMAPPINGS.find(([prefix]) => source.startsWith(prefix));
  const target = remapping ? remapping[1] + source.slice(remapping[0].length) : source;
  return path.join('node_modules', target);
}

function findImport(source) {
  try {
    return { contents: fs.readFileSync(locate(source), 'utf8') };
  } catch (error) {
    return { error: `${source}: ${error.message}` };
  }
}

const [set, target] = process.argv.slice(2);
const wanted = SETS[set];
const input = {
  language: 'Solidity',
  sources: Object.fromEntries(wanted.map((source) => [source, { content: findImport(source).contents }])),
  settings: {
    evmVersion: 'cancun',
    optimizer: { enabled: true, runs: 200 },
    metadata: { bytecodeHash: 'none', appendCBOR: false },
    outputSelection: Object.fromEntries(
      wanted.map((source) => [source, { '*': ['abi', 'evm.bytecode.object', 'evm.bytecode.linkReferences'] }]),
    ),
  },
};
const output = JSON.parse(solc.compile(JSON.stringify(input), { import: findImport }));
const errors = (output.errors || []).filter((entry) => entry.severity === 'error');
if (errors.length > 0) {
  process.stderr.write(errors.map((entry) => entry.formattedMessage).join('\n'));
  process.exit(1);
}
const contracts = {};
for (const source of wanted) {
  for (const [name, contract] of Object.entries(output.contracts[source])) {
    const { object, linkReferences } = contract.evm.bytecode;
    contracts[name] = { abi: contract.abi, bytecode: object, linkReferences };
  }
}
fs.writeFileSync(target, JSON.stringify(contracts));
