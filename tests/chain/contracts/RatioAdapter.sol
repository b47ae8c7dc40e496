// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

interface IAnswer {
    function latestAnswer() external view returns (int256);
}

/// A price source in the shape of a capped correlated-asset adapter: base feed times exchange ratio, and no round data.
/// The cap is set by hand, so that a test can hold the price below the true ratio.
contract RatioAdapter {
    uint8 public constant DECIMALS = 8;
    uint8 public constant RATIO_DECIMALS = 18;
    address public immutable BASE_TO_USD_AGGREGATOR;
    string public description;
    int256 private ratio;
    int256 private maximum;

    constructor(address base, int256 ratio_, int256 maximum_, string memory description_) {
        BASE_TO_USD_AGGREGATOR = base;
        ratio = ratio_;
        maximum = maximum_;
        description = description_;
    }

    function setRatio(int256 ratio_, int256 maximum_) external {
        ratio = ratio_;
        maximum = maximum_;
    }

    function decimals() external pure returns (uint8) {
        return DECIMALS;
    }

    function RATIO_PROVIDER() external view returns (address) {
        return address(this);
    }

    function getRatio() public view returns (int256) {
        return ratio;
    }

    function isCapped() public view returns (bool) {
        return ratio > maximum;
    }

    function latestAnswer() external view returns (int256) {
        int256 used = isCapped() ? maximum : ratio;
        return (IAnswer(BASE_TO_USD_AGGREGATOR).latestAnswer() * used) / int256(10 ** RATIO_DECIMALS);
    }
}
